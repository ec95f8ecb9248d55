"""Saving: every rank puts its chunks into parts, rank 0 publishes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from torch.distributed.checkpoint.storage import StorageWriter, WriteResult
from torch.futures import Future

from onecopy.distributed import layout
from onecopy.distributed.metadata import Place, encode
from onecopy.errors import EntryExists, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onecopy.store.client import Store

# A part takes chunks until it has so many bytes: what comes from a GPU is staged in the
# process's memory until its part is saved.
_PART_BYTES: Final = 1 << 30


class StoreWriter(StorageWriter):  # type: ignore[misc]  # torch is not typed
    """Saves a state dict, sharded or not, to a store; for `torch.distributed.checkpoint.save`.

    All ranks use the same store, so they are on one host. The checkpoint appears at once, when all
    ranks are done; a save that fails or crashes is never visible. What it has left is cleared
    away by the next save of that prefix, or by `onecopy.distributed.remove`.

    Args:
        store: each rank's own handle.
        prefix: the checkpoint's name; the names of its entries begin with `<prefix>/.`.
        overwrite: replace a checkpoint of that name; those who are loading it keep it.
        pin: never evict it. Without, single parts may be evicted, and what is left is useless.

    Raises (in DCP's `CheckpointException`):
        EntryExists: there is such a checkpoint, and `overwrite` is False.
        StoreFull: no room. Nothing has changed.
    """

    def __init__(
        self, store: Store, prefix: str, *, overwrite: bool = False, pin: bool = True
    ) -> None:
        self._store = store
        self._prefix = layout.check_prefix(prefix)
        self._overwrite = overwrite
        self._pin = pin

    @property
    def checkpoint_id(self) -> str:
        """The prefix."""
        return self._prefix

    def reset(self, checkpoint_id: Any = None) -> None:
        """Begin anew; DCP's `checkpoint_id=`, if given, is the new prefix."""
        if checkpoint_id is not None:
            self._prefix = layout.check_prefix(checkpoint_id)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """Say no: DCP cannot make a writer from a name alone."""
        del checkpoint_id
        return False

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Refuse what cannot be done before anybody has copied anything."""
        del args
        if not kwargs.get("use_collectives", True):
            raise InvalidArgument(
                "a store's checkpoint is published as a whole, so its ranks have to coordinate; "
                "save it with use_collectives=True"
            )
        if is_coordinator and not self._overwrite:
            self._check_absent()

    def _check_absent(self) -> None:
        if layout.metadata_name(self._prefix) in self._store:
            raise EntryExists(
                f"there is a checkpoint {self._prefix!r} already; choose another prefix, or pass "
                "overwrite=True"
            )

    def prepare_local_plan(self, plan: Any) -> Any:
        """Leave the plan as it is."""
        return plan

    def prepare_global_plan(self, plans: list[Any]) -> list[Any]:
        """On rank 0, before anybody writes: clear away what unfinished saves have left."""
        with layout.lock(self._store, self._prefix):
            layout.sweep(self._store, self._prefix)
        return plans

    def write_data(self, plan: Any, planner: Any) -> Any:
        """Save this rank's chunks: every byte is copied once, from the tensor to the store."""
        results: list[Any] = []
        try:
            for batch in _batches(plan.items, planner):
                name = layout.new_part_name(self._prefix)
                self._store.save(name, [value for _, value in batch], pin=self._pin)
                results += [
                    WriteResult(item.index, value.nbytes, Place(name, number))
                    for number, (item, value) in enumerate(batch)
                ]
        except BaseException:
            layout.discard(self._store, {result.storage_data.part for result in results})
            raise
        future = Future()
        future.set_result(results)
        return future

    def finish(self, metadata: Any, results: list[list[Any]]) -> None:
        """On rank 0, when all have written: publish."""
        places = {each.index: each.storage_data for some in results for each in some}
        tree = encode(metadata, places)
        layout.publish(self._store, self._prefix, tree, overwrite=self._overwrite, pin=self._pin)


def _batches(items: list[Any], planner: Any) -> Iterator[list[tuple[Any, Any]]]:
    """Yield lists of items, each with its tensor or buffer, for one part after the other."""
    batch: list[tuple[Any, Any]] = []
    nbytes = 0
    for item in items:
        value = _storable(planner.resolve_data(item))
        if batch and nbytes + value.nbytes > _PART_BYTES:
            yield batch
            batch, nbytes = [], 0
        batch.append((item, value))
        nbytes += value.nbytes
    if batch:
        yield batch


def _storable(data: Any) -> Any:
    """Return a tensor on the CPU, or the bytes of what the planner has serialized."""
    return data.getbuffer() if hasattr(data, "getbuffer") else data.detach().cpu()
