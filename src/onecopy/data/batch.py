"""What a worker sends in place of a batch: the name of an entry that has it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from torch.utils.data import default_collate, get_worker_info

from onecopy.data.stack import gather
from onecopy.errors import EntryNotFound, OnecopyError
from onecopy.store.names import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from onecopy.store.client import Store

_FOLDER: Final = f"{HIDDEN}batches/"

# Names of batches that arrived in this process and were not taken: nobody else knows them.
_arrived: set[str] = set()


class BatchRef:
    """A batch on its way from a worker; it pickles to a few bytes."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def take(self, store: Store) -> Any:
        """Load the batch, and remove its name: its memory goes with the last of its tensors.

        Raises:
            EntryNotFound: it was taken already, or its ttl is over.
        """
        _arrived.discard(self.name)
        try:
            batch = store.load(self.name)
            store.remove(self.name)
        except EntryNotFound as error:
            raise EntryNotFound(
                "this batch was taken already, or waited for longer than its ttl; give the loader "
                "a longer one (ttl=)"
            ) from error
        return batch

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrive, (self.name,)


def _arrive(name: str) -> BatchRef:
    _arrived.add(name)
    return BatchRef(name)


class StoreCollate:
    """A `collate_fn` for DataLoader workers that puts each batch into a store.

    It returns a `BatchRef`, of which the main process takes the batch; `onecopy.data.DataLoader`
    does all that. Outside of workers (`num_workers=0`) it returns the batch itself.

    Args:
        store: the store; in a worker, its own connection to it.
        collate_fn: makes a batch of samples, as in `torch.utils.data.DataLoader`.
        ttl: seconds after which a batch goes that nobody takes, because all processes that knew
            of it were killed. Until then it is pinned.
    """

    def __init__(
        self, store: Store, collate_fn: Callable[[Any], Any] | None = None, *, ttl: float = 3600
    ) -> None:
        self.store = store
        self.folder = f"{_FOLDER}{secrets.token_hex(8)}/"
        """What the names of these batches, and no others, begin with."""
        self._collate = collate_fn or default_collate
        self._ttl = ttl

    def __call__(self, samples: Any) -> Any:
        """Make a batch, save it, and return a reference to it."""
        if get_worker_info() is None:
            return self._collate(samples)
        # torch's own would stack into /dev/shm, of which the save would have to copy it.
        batch = gather(samples) if self._collate is default_collate else self._collate(samples)
        ref = BatchRef(f"{self.folder}{secrets.token_hex(8)}")
        self.store.save(ref.name, batch, ttl=self._ttl, pin=True)
        return ref


def discard_arrived(store: Store, folder: str) -> None:
    """Remove batches that arrived here, and that nobody will take any more."""
    names = [name for name in _arrived if name.startswith(folder)]
    _arrived.difference_update(names)
    discard(store, names)


def discard_all(store: Store, folder: str) -> None:
    """Remove all batches of workers that have ended."""
    discard_arrived(store, folder)
    try:
        discard(store, store.names(folder))
    except OnecopyError:
        pass  # The store has been closed or has died, and the batches went with it.


def discard(store: Store, names: Iterable[str]) -> None:
    """Remove entries, if they are still there, and the store is."""
    for name in names:
        try:
            store.remove(name)
        except OnecopyError:
            pass
