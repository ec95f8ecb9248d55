"""A rollback: tokens that the host takes back from a sequence, and so from its guest.

Its caller holds the lock of `Crew`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.errors import InvalidArgument
from onecopy.guests.batch.recovery import not_rebuilt
from onecopy.guests.batch.sequence import READY, STOPPED, SUSPENDED

if TYPE_CHECKING:
    from onecopy.guests.batch.crew import Crew
    from onecopy.guests.batch.sequence import Sequence


def roll_back(crew: Crew, sequence: Sequence, count: int) -> None:
    """Take back the last `count` tokens; the guest is told with the next step.

    Raises:
        InvalidArgument: that is further back than its history, or the batch's `keep`, reaches.
    """
    crew.batch.ledger.settle(sequence)
    history = sequence.history
    history.check_rollback(count)
    told, keep = history.told_of(count), crew.batch.keep
    if told > keep:
        raise InvalidArgument(
            f"a rollback to {told} tokens before the furthest that the guest was told of; "
            f"raise keep= of Controllers, which is {keep}"
        )
    history.rollback(count)
    if told:
        _take_back(crew, sequence)


def _take_back(crew: Crew, sequence: Sequence) -> None:
    """Drop what a guest made of tokens that are taken back."""
    sequence.stale = bool(sequence.asked)
    sequence.answer = None  # also of one whose worker was lost after it had answered
    if sequence.state in (READY, STOPPED):
        sequence.state = READY
        _come_back(crew, sequence)


def _come_back(crew: Crew, sequence: Sequence) -> None:
    """A sequence that had stopped was not rebuilt when its worker was lost: now it is."""
    if sequence.station is None and not sequence.origin.rebuild:
        crew.batch.ledger.fail(sequence, not_rebuilt())
    elif sequence.station is None:
        sequence.history.lost()
        sequence.state = SUSPENDED
        crew.recovery.rebuild([sequence])
