"""One sequence in a worker: its controller, and where its row is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.guests.batch.turns import Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.guests.batch.bench import Bench
    from onecopy.guests.decoding.controller import Controller


class Seat:
    """A place on a bench, which the controller leaves when the sequence is closed."""

    __slots__ = (
        *("address", "controller", "culprit", "line", "number"),
        *("pointer", "request", "row", "told", "turn"),
    )

    def __init__(
        self,
        bench: Bench,
        controller: Controller,
        number: int,
        row: int,
        culprit: int,
        request: str,
    ) -> None:
        self.controller = controller
        self.number = number
        self.row = row
        self.culprit = culprit
        self.request = request
        self.line = bench.board.line(row)
        self.pointer = bench.rows.mask_at(row)
        self.told: Sequence[int] = ()
        """What it is told in the call that is prepared."""
        self.turn = Turn(controller, row, culprit, bench.turns) if bench.turns else None
        self.address = self.turn.address if self.turn else 0
