"""One buffer for each section that shows that all of its free buffers may still fit.

A witness is a free buffer, so low that there is room for all others above it. As long as it is, the
section needs no look: after the watched literals of SAT solvers (Moskewicz et al., "Chaff", DAC
2001).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.planner.packing.board import NONE, Board, Changes

if TYPE_CHECKING:
    from collections.abc import Iterable


class Witnesses:
    """The witnesses of all sections of a board."""

    def __init__(self, board: Board) -> None:
        sections = board.grid.sections
        self._board = board
        self._witness = [NONE] * sections
        self._watched: list[set[int]] = [set() for _ in board.sections]
        self._lives = [frozenset(each) for each in board.sections]
        self._contents: list[list[int]] = [[] for _ in range(sections)]
        for buffer, each in enumerate(board.sections):
            for section in each:
                self._contents[section].append(buffer)

    def check(self, sections: Iterable[int], changes: Changes) -> bool:
        """Say whether the free buffers of each section may still fit above the lowest one."""
        hint, needed = NONE, self._board.needed
        for section in sections:
            if needed[section] and not self._is_witness(self._witness[section], section):
                witness = self._find(section, hint)
                if witness == NONE:
                    return False
                changes.append((section, self._witness[section]))
                self._watch(section, witness)
            hint = self._witness[section]
        return True

    def check_watched(self, buffer: int, changes: Changes) -> bool:
        """Check the sections whose witness a buffer is, now that it is no longer as low.

        In order, so that the same witnesses are found in C.
        """
        return self.check(sorted(self._watched[buffer]), changes)

    def undo(self, changes: Changes) -> None:
        """Put back the witnesses that were there before."""
        for section, before in reversed(changes):
            self._watch(section, before)
        changes.clear()

    def _find(self, section: int, hint: int) -> int:
        """Find a buffer that is low enough; that of the last section will often do."""
        if hint != NONE and section in self._lives[hint] and self._is_witness(hint, section):
            return hint
        for buffer in self._contents[section]:
            if self._is_witness(buffer, section):
                return buffer
        return NONE

    def _is_witness(self, buffer: int, section: int) -> bool:
        board = self._board
        if buffer == NONE or board.placed[buffer]:
            return False
        # Its floor is not below its offset: that alone may decide.
        room = board.ceiling - board.needed[section]
        return board.at[buffer] <= room and board.floor(buffer) <= room

    def _watch(self, section: int, buffer: int) -> None:
        if self._witness[section] != NONE:
            self._watched[self._witness[section]].discard(section)
        self._witness[section] = buffer
        if buffer != NONE:
            self._watched[buffer].add(section)
