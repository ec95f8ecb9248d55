"""What a batch is made of: its rows and board, and what guests in it may do."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from onecopy.guests.batch.ledger import Ledger
from onecopy.guests.batch.lender import row_sources
from onecopy.guests.batch.masks import Masks
from onecopy.guests.batch.rows import Rows
from onecopy.guests.batch.steps import Board

if TYPE_CHECKING:
    from onecopy.guests.decoding.vocabulary import Vocabulary
    from onecopy.guests.windows.source import Source
    from onecopy.guests.workers.pool import Pool

_keys: Final = itertools.count(1)


@dataclass(frozen=True)
class Batch:
    """What all that has to do with one batch knows."""

    vocabulary: Vocabulary
    table: Source
    """The vocabulary's segment: workers need it for as long as they open sequences."""
    rows: Rows
    masks: Masks
    board: Board
    ledger: Ledger
    guest_seconds: float
    keep: int
    branches: int
    """The most sequences that a guest may make of one."""
    grammar_engine: str
    logits: tuple[Source, ...] = ()
    """By row, if guests see them."""
    key: int = field(default_factory=lambda: next(_keys))
    """Its name in workers."""

    @classmethod
    def make(
        cls,
        vocabulary: Vocabulary,
        pool: Pool,
        size: int,
        *,
        biases: bool,
        logits: Any,
        keep: int,
        branches: int,
        grammar_engine: str,
    ) -> Batch:
        """Make one of `size` rows; see `Controllers`.

        Raises:
            InvalidArgument: a vocabulary that was closed, logits or a size that cannot be.
        """
        vocabulary.check_open()
        sources = () if logits is None else row_sources(logits, size, vocabulary.size)
        rows = Rows.make(size, vocabulary.size, biases=biases)
        masks, board = Masks(rows), Board.make(size, len(pool.workers))
        return cls(
            vocabulary=vocabulary,
            table=vocabulary.window_source(),
            rows=rows,
            masks=masks,
            board=board,
            ledger=Ledger(rows, masks, board, vocabulary.eos),
            guest_seconds=pool.guest_seconds,
            keep=keep,
            branches=branches,
            grammar_engine=grammar_engine,
            logits=sources,
        )

    def close(self) -> None:
        """Close its segments; tensors of steps stay valid. Twice is fine."""
        self.rows.close()
        self.board.close()
        self.table.close()
        for each in self.logits:
            each.close()
