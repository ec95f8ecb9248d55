"""A reference to an entry: small, picklable, good for queues and DataLoader workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onecopy.segments.mapping import Mode
    from onecopy.store.client import Store


class Ref:
    """A store and a name in it. It holds nothing: the entry may be gone when it is loaded."""

    __slots__ = ("name", "store")

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name

    def load(self, *, timeout: float = 0, mode: Mode | None = None) -> Any:
        """Load the entry, as `Store.load` does."""
        return self.store.load(self.name, timeout=timeout, mode=mode)

    def __reduce__(self) -> tuple[type[Ref], tuple[Store, str]]:
        return Ref, (self.store, self.name)

    def __repr__(self) -> str:
        return f"<Ref to {self.name!r} in {self.store!r}>"
