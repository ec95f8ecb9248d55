"""Rounds, with a station that the test plays: what is asked, what answers are taken for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from onecopy import GuestMisbehaved, InvalidArgument
from onecopy.guests.batch import steps
from onecopy.guests.batch.answers import ALLOWED, STOP, Failed, Suspended
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.batch.history import History
from onecopy.guests.batch.sequence import READY, Origin, Sequence
from onecopy.guests.batch.steps import MAX_TOKENS
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.wasm import control
from onecopy.guests.workers.pool import Pool
from tests.guests.tokenizers_of import byte_level

FLAGS = os.EFD_CLOEXEC | os.EFD_NONBLOCK


class Played:
    """What a round sees of a station; the test answers in its place."""

    def __init__(self, slot: int, board: Any) -> None:
        self.slot, self.words = slot, board.words
        self.bell, self.done = os.eventfd(0, FLAGS), os.eventfd(0, FLAGS)
        self.lost = False
        self.freed: list[int] = []

    def idle(self) -> bool:
        return self.words[self.slot] == self.words[self.slot + steps.FINISHED]

    def ring(self, now: float) -> None:
        os.eventfd_write(self.bell, 1)

    def check(self, now: float) -> None:
        pass

    def rows(self) -> list[int]:
        """The rows that it was rung for."""
        os.eventfd_read(self.bell)
        start = self.slot + steps.ROWS
        return self.words[start : start + self.words[self.slot + steps.COUNT]].tolist()

    def end(self) -> None:
        self.words[self.slot + steps.FINISHED] = self.words[self.slot]
        os.eventfd_write(self.done, 1)

    def close_sequence(self, number: int) -> None:
        pass

    def close(self) -> None:
        os.close(self.bell)
        os.close(self.done)


@pytest.fixture(scope="module")
def vocabulary() -> Iterator[Vocabulary]:
    with Vocabulary.from_tokenizer(byte_level()) as vocabulary:
        yield vocabulary


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Its worker stays idle; steps end at once when nobody answers."""
    with Pool(workers=1, step_ms=1) as pool:
        yield pool


@pytest.fixture
def controllers(vocabulary: Vocabulary, pool: Pool) -> Iterator[Controllers]:
    """A batch of four."""
    with Controllers(None, vocabulary, pool, batch=4) as controllers:
        yield controllers


@pytest.fixture
def station(controllers: Controllers) -> Played:
    station = Played(controllers.batch.board.slot(0), controllers.batch.board)
    controllers._crew.stations = {object(): station}  # type: ignore[dict-item]
    return station


@pytest.fixture
def sequences(controllers: Controllers, station: Played) -> list[Sequence]:
    """Three that are ready."""
    origin = Origin(SimpleNamespace(digest="a"), b"", "", 1, 1)  # type: ignore[arg-type]
    made = []
    for _ in range(3):
        sequence = controllers._crew.sit(controllers, origin, History([]), "stop")
        sequence.state = READY
        sequence.station = station  # type: ignore[assignment]
        made.append(sequence)
    return made


def answer(controllers: Controllers, sequence: Sequence, kind: int, took: int = 0) -> None:
    """Answer what a sequence was asked last."""
    board = controllers.batch.board
    board.answer(sequence.line, kind)
    board.wide[(sequence.line + steps.TOOK) >> 1] = took
    board.words[sequence.line + steps.ANSWERED] = sequence.asked


def test_rows_are_asked_in_the_order_in_which_they_are_told(
    controllers: Controllers, station: Played, sequences: list[Sequence]
) -> None:
    one, two, three = sequences
    controllers.begin({three: [3], one: [1, 2], two: []})
    assert station.rows() == [three.row, one.row, two.row]
    board = controllers.batch.board
    assert [board.appended(each.line) for each in (three, one, two)] == [[3], [1, 2], []]
    assert [board.words[each.line] for each in sequences] == [each.number for each in sequences]


def test_masks_and_other_answers_are_told_apart_and_counted(
    controllers: Controllers, station: Played, sequences: list[Sequence]
) -> None:
    one, two, three = sequences
    controllers.begin({each: [5] for each in sequences})
    answer(controllers, one, control.MASK, took=2_000)
    answer(controllers, two, control.STOP, took=3_000)
    station.end()
    step = controllers.finish()
    assert step.outcomes[one] == ALLOWED
    assert step.outcomes[two] == STOP
    assert isinstance(step.outcomes[three], Suspended)  # its number is not there
    assert step.late == (three,)
    assert [each.steps for each in sequences] == [1, 1, 0]
    assert one.seconds == pytest.approx(2e-6)
    assert two.seconds == pytest.approx(3e-6)


def test_an_answer_from_before_a_rollback_is_no_mask(
    controllers: Controllers, station: Played, sequences: list[Sequence]
) -> None:
    one = sequences[0]
    controllers.begin({one: [5]})
    controllers.finish()
    controllers.roll_back(one, 1)
    answer(controllers, one, control.MASK)
    station.end()
    controllers.begin({one: []})
    assert station.rows() == [one.row]
    board = controllers.batch.board
    assert board.words[one.line + steps.ROLLBACK] == 1
    station.end()
    assert isinstance(controllers.finish().outcomes[one], Suspended)


def test_a_sequence_that_is_closed_meanwhile_has_no_answer(
    controllers: Controllers, station: Played, sequences: list[Sequence]
) -> None:
    one, two, _ = sequences
    controllers.begin({one: [5], two: [5]})
    one.close()
    answer(controllers, one, control.MASK)
    answer(controllers, two, control.MASK)
    station.end()
    assert list(controllers.finish().outcomes) == [two]


def test_more_tokens_than_a_line_has_room_for_fail(
    controllers: Controllers, station: Played, sequences: list[Sequence]
) -> None:
    outcomes = controllers.step({sequences[0]: [5] * (MAX_TOKENS + 1)}).outcomes
    failed = outcomes[sequences[0]]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, GuestMisbehaved)


@pytest.mark.parametrize("tokens", [[-1], [1 << 40], [3, 1 << 40], [-1, 3]])
def test_tokens_outside_the_vocabulary_are_refused_before_anything_is_done(
    controllers: Controllers, sequences: list[Sequence], tokens: list[int]
) -> None:
    with pytest.raises(InvalidArgument, match="outside the vocabulary"):
        controllers.begin({sequences[1]: [5], sequences[0]: tokens})
    assert sequences[1].tokens == []


def test_tokens_may_be_any_integers(
    controllers: Controllers, station: Played, sequences: list[Sequence]
) -> None:
    np = pytest.importorskip("numpy")
    controllers.begin(
        {sequences[0]: np.array([7]), sequences[1]: (8,), sequences[2]: [np.int64(9)]}
    )
    board = controllers.batch.board
    assert [board.appended(each.line) for each in sequences] == [[7], [8], [9]]
