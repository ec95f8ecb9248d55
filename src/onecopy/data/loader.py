"""torch's DataLoader, with a store between the workers and the main process."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

from torch.utils import data

from onecopy.data.batch import BatchRef, StoreCollate, discard_all, discard_arrived
from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from onecopy.store.client import Store


class DataLoader(data.DataLoader):  # type: ignore[misc]  # torch is not typed
    """A `torch.utils.data.DataLoader` whose workers hand over batches through a store.

    A batch is saved by the worker that made it, with its bytes copied once, and is mapped here:
    nothing is pickled, /dev/shm is not used, and it costs one descriptor for as long as it takes
    to map it, however many tensors, arrays and buffers it has. What it may consist of is what
    `Store.save` takes.

    Batches have hidden names that are removed when they arrive; the tensors live on. A loop that
    ends early, a worker that fails or is killed: what is on its way is removed when the workers
    have ended. Batches count against the store's capacity, up to `num_workers * prefetch_factor`
    of them, and those that you hold.

    Args:
        dataset: as in torch; so are all further arguments but `pin_memory`.
        store: the store. It has to outlive the loop.
        ttl: seconds after which batches go that nobody can take any more, since this process and
            its workers were killed; and how long one may wait at most.
    """

    collate_fn: Any

    def __init__(
        self, dataset: Any, *arguments: Any, store: Store, ttl: float = 3600, **options: Any
    ) -> None:
        super().__init__(dataset, *arguments, **options)
        if self.pin_memory:
            raise InvalidArgument(
                "batches from a store are not pinned, for that would copy each one; leave out "
                "pin_memory, and copy them to the device, or call batch.pin_memory() where you "
                "need it"
            )
        self.store = store
        self._ttl = ttl
        self._batch_fn = self.collate_fn
        self._pool: _Pool | None = None

    def __iter__(self) -> Any:
        """Begin an epoch."""
        if self.num_workers == 0:
            return super().__iter__()
        if self._pool is None or not self.persistent_workers:
            # Workers get it at their start, so each pool of them has a folder of its own.
            self.collate_fn = StoreCollate(self.store, self._batch_fn, ttl=self._ttl)
            self._pool = _Pool(self.store, self.collate_fn.folder)
        self._pool.batches = super().__iter__()
        # Persistent workers may have been busy for an earlier epoch that ended too soon. torch has
        # received those batches by now, and thrown them away.
        discard_arrived(self.store, self._pool.folder)
        return _Epoch(self._pool, owner=not self.persistent_workers)

    def close(self) -> None:
        """End persistent workers, and remove what they had on its way; twice is fine."""
        if self.persistent_workers and self._pool is not None:
            self._iterator = None
            self._pool.close()
            self._pool = None

    def __del__(self) -> None:
        if getattr(self, "_pool", None) is not None and not sys.is_finalizing():
            self.close()


# Those whose workers may run.
_pools: weakref.WeakSet[_Pool] = weakref.WeakSet()


class _Pool:
    """The workers of one of torch's iterators, and the folder for their batches."""

    def __init__(self, store: Store, folder: str) -> None:
        self.store = store
        self.folder = folder
        self.batches: Any = None
        self._pid = os.getpid()
        _pools.add(self)

    def close(self) -> None:
        """End the workers; only then is nothing added to the folder any more."""
        batches, self.batches = self.batches, None
        if batches is not None and self._pid == os.getpid():  # Not in a forked child.
            # Its __del__ would do the same, but a traceback may keep it alive for long.
            batches._shutdown_workers()
            discard_all(self.store, self.folder)


class _Epoch:
    """An iterator over batches; if it owns its workers, they end with it."""

    def __init__(self, pool: _Pool, owner: bool) -> None:
        self._pool = pool
        self._batches = pool.batches
        self._owner = owner

    def __iter__(self) -> _Epoch:
        return self

    def __next__(self) -> Any:
        try:
            batch = next(self._batches)
        except StopIteration:
            self._end()
            raise
        return batch.take(self._pool.store) if isinstance(batch, BatchRef) else batch

    def _end(self) -> None:
        if self._owner:
            self._pool.close()

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self._end()


def _close_all() -> None:
    for pool in list(_pools):
        pool.close()


atexit.register(_close_all)
