"""How a controller came to be where it is: what rollback goes back to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from onecopy.guests.decoding.controller_host import SavedGrammars
    from onecopy.guests.instance.snapshots import State


class Saved(NamedTuple):
    """All that a guest knows, at one moment between two calls."""

    state: State
    grammars: SavedGrammars


class Call(NamedTuple):
    """A call, and what was saved before it."""

    position: int
    """How many tokens the guest had been told of and were still in the text."""
    tokens: tuple[int, ...]
    """What it was told."""
    steps: int
    saved: Saved


class Past:
    """The last calls of one sequence: as many as it takes to roll back `reach` tokens.

    Fewer, but always the last one, if what was saved of them has more than `limit` bytes: a guest
    that writes to all of its memory in each step costs itself, not the worker.
    """

    def __init__(self, limit: int, reach: int = 0) -> None:
        self.limit = limit
        self.reach = reach
        self._calls: list[Call] = []

    def add(self, call: Call) -> None:
        """Note a call that is about to be made, and forget what is out of reach."""
        calls = self._calls
        # Later ones at the same place, or before it when the guest has taken tokens back, are
        # those that a rollback wants.
        while calls and calls[-1].position >= call.position:
            calls.pop()
        calls.append(call)
        least = call.position + len(call.tokens) - self.reach
        while len(calls) > 1 and (calls[1].position <= least or self._nbytes() > self.limit):
            del calls[0]

    def _nbytes(self) -> int:
        """Return the bytes that are kept: all of the first, and what later ones do not share."""
        later = sum([call.saved.state.fresh for call in self._calls])
        first = self._calls[0].saved.state
        return first.nbytes - first.fresh + later

    def last(self) -> Saved | None:
        """Return what was saved last."""
        return self._calls[-1].saved if self._calls else None

    def back(self, position: int) -> Call:
        """Return the call before which there were no more than `position` tokens; forget it.

        Raises:
            InvalidArgument: that was too long ago.
        """
        for i in range(len(self._calls) - 1, -1, -1):
            if self._calls[i].position <= position:
                call = self._calls[i]
                del self._calls[i:]
                return call
        raise InvalidArgument(
            f"a rollback to {position} tokens, beyond what is kept; call keep() with how many "
            "tokens a rollback may take back, before they come; if that was done, the guest "
            "writes too much in each step for its memory_limit"
        )

    def copy(self) -> Past:
        """Return the same past for a branch."""
        other = Past(self.limit, self.reach)
        other._calls = list(self._calls)
        return other

    def clear(self) -> None:
        """Forget everything."""
        self._calls.clear()
