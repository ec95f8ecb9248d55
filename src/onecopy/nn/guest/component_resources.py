"""What components hold of the host: tensors, graphs, contexts and errors, behind handles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wasmtime.component import ResourceHost, ResourceType

from onecopy.errors import GuestMemoryExceeded
from onecopy.nn.guest.component_running import Running, Tensor

if TYPE_CHECKING:
    import wasmtime
    from wasmtime.component import LinkerInstance, ResourceAny

MOST: Final = 1 << 14
"""How many of them a component may hold at once."""


class Resources:
    """What one component holds; wasmtime knows the handles, and this what is behind them.

    `room`: how many bytes its tensors may have together. The memory is this process's, not the
    component's, so no limit of its store counts it.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._used = 0
        self._held: dict[int, Any] = {}
        self._free: list[int] = []
        self._kinds: dict[str, int] = {}

    def define(self, instance: LinkerInstance, name: str) -> None:
        """Define a kind of resource in an interface, under its name there."""
        kind = self._kinds.setdefault(name, len(self._kinds))
        instance.add_resource(name, ResourceType.host(kind), self._dropped)

    def hand_out(self, name: str, what: object) -> ResourceHost:
        """Return a handle that the component shall own.

        Raises:
            GuestMemoryExceeded: it holds too much already.
        """
        if self._used + _nbytes(what) > self._room or len(self._held) >= MOST:
            raise GuestMemoryExceeded(
                f"a component may hold {MOST} resources and {self._room} bytes of tensors of its "
                "host at once; drop what is no longer needed"
            )
        handle = self._free.pop() if self._free else len(self._held)
        self._held[handle] = what
        self._used += _nbytes(what)
        return ResourceHost.own(handle, self._kinds[name])

    def behind(self, store: wasmtime.StoreContext, handle: ResourceAny) -> Any:
        """Return what a handle stands for; wasmtime has checked of which kind it is."""
        return self._held[handle.to_host(store).rep]

    def take(self, store: wasmtime.StoreContext, handle: ResourceAny) -> Any:
        """Return what a handle stood for that the component gave away."""
        number = handle.to_host(store).rep
        what = self._held[number]
        self._dropped(store, number)
        return what

    def close(self) -> None:
        """Let go of all that is still held."""
        for number in list(self._held):
            self._dropped(None, number)

    def __len__(self) -> int:
        return len(self._held)

    def _dropped(self, _store: wasmtime.StoreContext | None, number: int) -> None:
        what = self._held.pop(number)
        self._free.append(number)
        self._used -= _nbytes(what)
        # A graph closes when nobody refers to it any more: its contexts may still be in use.
        if isinstance(what, Running):
            what.close()


def _nbytes(what: object) -> int:
    return len(what.data) if isinstance(what, Tensor) else 0
