"""The graphs and contexts of one guest, by the numbers that it knows them by.

No number is ever used again, and none is both a graph's and a context's: a number that is kept
too long, or taken for the other kind, stands for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onecopy.nn.guest.refusals import Refused
from onecopy.nn.standard import Errno

if TYPE_CHECKING:
    from onecopy.nn.guest.loader import Context, Graph

GRAPHS: Final = 64
CONTEXTS: Final = 1024
"""What a guest may have at a time. No function of the standard ends a context: `unload` ends those
of its graph."""


class Handles:
    """What numbers stand for."""

    def __init__(self) -> None:
        self._graphs: dict[int, Graph] = {}
        self._contexts: dict[int, tuple[Context, int]] = {}
        self._last = 0

    def check_room_for_graph(self) -> None:
        """Raise `Refused` if the guest has as many graphs as it may: before one is loaded."""
        if len(self._graphs) >= GRAPHS:
            raise Refused(Errno.TOO_LARGE, f"the guest has {GRAPHS} graphs; unload some")

    def check_room_for_context(self) -> None:
        """Raise `Refused` if the guest has as many contexts as it may."""
        if len(self._contexts) >= CONTEXTS:
            raise Refused(
                Errno.TOO_LARGE, f"the guest has {CONTEXTS} contexts; unload a graph of them"
            )

    def add_graph(self, graph: Graph) -> int:
        """Return the number of a new graph."""
        number = self._next()
        self._graphs[number] = graph
        return number

    def add_context(self, context: Context, graph: int) -> int:
        """Return the number of a new context of a graph."""
        number = self._next()
        self._contexts[number] = context, graph
        return number

    def graph(self, number: int) -> Graph:
        """Return a graph; raises `Refused` if the number is none's."""
        found = self._graphs.get(number)
        if found is None:
            raise Refused(Errno.INVALID_ARGUMENT, f"{number} is not the handle of a graph")
        return found

    def context(self, number: int) -> tuple[Context, Graph]:
        """Return a context and its graph; raises `Refused` if the number is none's."""
        found = self._contexts.get(number)
        if found is None:
            raise Refused(Errno.INVALID_ARGUMENT, f"{number} is not the handle of a context")
        context, graph = found
        return context, self._graphs[graph]

    def remove_graph(self, number: int) -> list[int]:
        """End a graph, and the contexts that were made of it; return all those numbers."""
        graph = self.graph(number)
        gone = [key for key, (_, of) in self._contexts.items() if of == number]
        for each in gone:
            self._contexts.pop(each)[0].close()
        del self._graphs[number]
        graph.close()
        return [number, *gone]

    def _next(self) -> int:
        if self._last == 0xFFFFFFFF:
            raise Refused(Errno.TOO_LARGE, "the guest has used up all handles")
        self._last += 1
        return self._last
