"""Loading: every rank maps all parts, and copies the chunks it needs into its tensors."""

from __future__ import annotations

import dataclasses
import io
import pickle
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed.checkpoint.planner import LoadItemType
from torch.distributed.checkpoint.storage import StorageReader
from torch.futures import Future

from onecopy.distributed import layout
from onecopy.distributed.metadata import decode
from onecopy.errors import CorruptEntry, EntryNotFound, UnsupportedValue

if TYPE_CHECKING:
    from onecopy.distributed.metadata import Checkpoint
    from onecopy.store.client import Store


class StoreReader(StorageReader):  # type: ignore[misc]  # torch is not typed
    """Loads a checkpoint of `StoreWriter`; for `torch.distributed.checkpoint.load`.

    The ranks may be more or fewer than those that saved it. Parts are mapped, not read; only what
    a rank needs is copied, straight into its tensors. A checkpoint that is replaced or removed
    after it was opened stays until it is loaded.

    Objects that are no tensors come through `torch.load`, and are refused unless
    `weights_only=True` accepts them: `torch.serialization.add_safe_globals` lets classes in.

    Args:
        store: each rank's own handle.
        prefix: the checkpoint's name.
        timeout: seconds to wait for it, 0 not at all, -1 for ever.
    """

    def __init__(self, store: Store, prefix: str, *, timeout: float = 0) -> None:
        self._store = store
        self._prefix = layout.check_prefix(prefix)
        self._timeout = timeout
        self._id = ""
        self._places: dict[Any, Any] = {}
        self._parts: list[list[Any]] = []

    @property
    def checkpoint_id(self) -> str:
        """The prefix."""
        return self._prefix

    def reset(self, checkpoint_id: Any = None) -> None:
        """Let go of what is mapped; DCP's `checkpoint_id=`, if given, is the new prefix."""
        self._parts = []
        if checkpoint_id is not None:
            self._prefix = layout.check_prefix(checkpoint_id)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """Say no: DCP cannot make a reader from a name alone."""
        del checkpoint_id
        return False

    def read_metadata(self) -> Any:
        """Open the checkpoint: from now on it stays, whatever happens to its names.

        Raises:
            EntryNotFound: there is none, or a part of it was evicted or removed.
        """
        checkpoint, self._parts = self._open()
        self._id = checkpoint.id
        return checkpoint.metadata

    def _open(self) -> tuple[Checkpoint, list[list[Any]]]:
        name, seen = layout.metadata_name(self._prefix), None
        while True:
            checkpoint = decode(self._store.load(name, timeout=self._timeout), name)
            try:
                return checkpoint, self._store.load(checkpoint.parts, mode="readonly")
            except EntryNotFound as error:
                # Replaced between the two loads? Then there is another one now.
                if checkpoint.id == seen:
                    raise EntryNotFound(
                        f"a part of the checkpoint {self._prefix!r} was evicted or removed; "
                        "save it again, with pin=True"
                    ) from error
                seen = checkpoint.id

    def set_up_storage_reader(self, metadata: Any, is_coordinator: bool) -> None:
        """Note where each chunk is."""
        del is_coordinator
        self._places = metadata.storage_data

    def prepare_local_plan(self, plan: Any) -> Any:
        """Tell rank 0 which checkpoint this rank has opened."""
        return dataclasses.replace(plan, storage_data=self._id)

    def prepare_global_plan(self, plans: list[Any]) -> list[Any]:
        """On rank 0: check that all ranks have opened the same one."""
        if len({plan.storage_data for plan in plans}) > 1:
            raise EntryNotFound(
                f"the checkpoint {self._prefix!r} was replaced just when the ranks opened it, "
                "and not all have the same; load it again"
            )
        return plans

    def read_data(self, plan: Any, planner: Any) -> Any:
        """Copy the chunks of this rank's plan into the planner's tensors."""
        try:
            for item in plan.items:
                self._read(item, planner)
        finally:
            self._parts = []
        future = Future()
        future.set_result(None)
        return future

    def _read(self, item: Any, planner: Any) -> None:
        stored = self._stored(item.storage_index)
        if item.type == LoadItemType.BYTE_IO:
            planner.load_bytes(item, _checked(stored, item.storage_index.fqn))
            return
        source = _narrow(stored, item.storage_offsets, item.lengths)
        target = planner.resolve_tensor(item).detach()
        if target.size() != source.size():
            raise CorruptEntry(
                f"{item.storage_index.fqn!r}: {tuple(source.size())} are to be copied into "
                f"{tuple(target.size())}"
            )
        target.copy_(source)
        planner.commit_tensor(item, target)

    def _stored(self, index: Any) -> Any:
        try:
            place = self._places[index]
            return self._parts[place.part][place.item]
        except (LookupError, TypeError) as error:
            raise CorruptEntry(
                f"the checkpoint {self._prefix!r} does not say where {index} is; save it again"
            ) from error


def _narrow(tensor: torch.Tensor, offsets: Any, lengths: Any) -> torch.Tensor:
    for dimension, (offset, length) in enumerate(zip(offsets, lengths, strict=True)):
        tensor = tensor.narrow(dimension, offset, length)
    return tensor


def _checked(buffer: memoryview, name: str) -> io.BytesIO:
    """Return a file of the bytes, once it is clear that loading them runs no code.

    DCP's planner unpickles whatever it gets, so this has to happen before.
    """
    stream = io.BytesIO(buffer)
    try:
        torch.load(stream, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise UnsupportedValue(
            f"{name!r} is no plain data; if you trust its class, call "
            f"torch.serialization.add_safe_globals before you load it: {error}"
        ) from error
    stream.seek(0)
    return stream
