"""A map-style data set whose samples are entries of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from onecopy.segments.mapping import Mode
    from onecopy.store.client import Store


class StoreDataset:
    """Reads samples from a store, in any number of workers, without copying.

    It pickles to the names and the store's own, and works in forked and in spawned workers.

    Args:
        store: where the samples are.
        names: the entries, in this order; or a prefix, for all that there are now, sorted.
        mode: as for `Store.load`. `"readonly"` is fastest where samples come again and again, and
            fatal if they are written to.
    """

    def __init__(
        self, store: Store, names: str | Iterable[str] = "", *, mode: Mode | None = None
    ) -> None:
        self.store = store
        self.names = store.names(names) if isinstance(names, str) else list(names)
        self._mode = mode

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Any:
        return self.store.load(self.names[index], mode=self._mode)

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Load the samples of a batch; torch's DataLoader calls this if it is there."""
        return self.store.load([self.names[index] for index in indices], mode=self._mode)
