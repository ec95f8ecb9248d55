"""Rounds: who is asked, who is awaited, and what is said of each.

First with guests that run, then with a station that the test plays.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from onecopy import GuestMisbehaved, InvalidArgument
from onecopy.guests.batch import steps
from onecopy.guests.batch.answers import ALLOWED, STOP, Allowed, Failed, Suspended
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.batch.history import History
from onecopy.guests.batch.sequence import READY, Origin, Sequence
from onecopy.guests.batch.steps import MAX_TOKENS
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.wasm import control
from onecopy.guests.workers.pool import Pool
from tests.guests.batch.played import Played
from tests.guests.batch.test_controllers import decode
from tests.guests.waiting import eventually


def test_only_those_that_are_stepped_are_called(controllers: Controllers, scripted: bytes) -> None:
    asked, other = (controllers.open(scripted) for _ in range(2))
    decode(controllers, [asked], 3)
    assert (asked.steps, other.steps) == (3, 0)


def test_a_step_of_nobody_is_no_step(controllers: Controllers) -> None:
    step = controllers.step({})
    assert (step.outcomes, step.late) == ({}, ())


def test_the_order_of_a_step_is_nobody_s_business(
    controllers: Controllers, scripted: bytes
) -> None:
    both = [controllers.open(scripted, prompt=[number]) for number in (1, 2)]
    masks = decode(controllers, both, 1)
    again = [controllers.open(scripted, prompt=[number]) for number in (1, 2)]
    assert decode(controllers, again[::-1], 1) == masks[::-1]


def test_a_step_says_how_long_it_took(controllers: Controllers, scripted: bytes) -> None:
    sequence = controllers.open(scripted)
    assert controllers.step({sequence: []}).seconds > 0


def test_more_tokens_than_a_line_holds_fail_the_sequence(
    controllers: Controllers, scripted: bytes
) -> None:
    sequence = controllers.open(scripted)
    answer = controllers.step({sequence: [1] * (steps.MAX_TOKENS + 1)}).outcomes[sequence]
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, GuestMisbehaved)


def test_as_many_tokens_as_a_line_holds_are_heard(
    controllers: Controllers, scripted: bytes
) -> None:
    sequence = controllers.open(scripted)
    step = controllers.step({sequence: [1] * steps.MAX_TOKENS})
    assert isinstance(step.outcomes[sequence], Allowed)
    assert len(sequence.tokens) == steps.MAX_TOKENS


def test_a_worker_that_dies_in_a_step_ends_it(controllers: Controllers, scripted: bytes) -> None:
    """A step may take a minute here; it does not, for nobody is left to be waited for."""
    sequence = controllers.open(scripted)
    station = sequence.station
    os.kill(station.worker.pid, signal.SIGSTOP)
    controllers.begin({sequence: []})
    os.kill(station.worker.pid, signal.SIGKILL)
    step = controllers.finish()
    assert step.late == (sequence,)
    assert step.seconds < 60
    sequence.wait(60)
    eventually(lambda: isinstance(controllers.step({sequence: []}).outcomes[sequence], Allowed))


@pytest.fixture(scope="module")
def idle_pool() -> Iterator[Pool]:
    """Its worker stays idle; steps end at once when nobody answers."""
    with Pool(workers=1, step_ms=1) as pool:
        yield pool


@pytest.fixture
def played(vocabulary: Vocabulary, idle_pool: Pool) -> Iterator[Controllers]:
    """A batch of four."""
    with Controllers(None, vocabulary, idle_pool, batch=4) as played:
        yield played


@pytest.fixture
def station(played: Controllers) -> Played:
    station = Played(played.batch.board.slot(0), played.batch.board)
    played._crew.stations = {object(): station}  # type: ignore[dict-item]
    return station


@pytest.fixture
def sequences(played: Controllers, station: Played) -> list[Sequence]:
    """Three that are ready."""
    origin = Origin(SimpleNamespace(digest="a"), b"", "", 1, 1)  # type: ignore[arg-type]
    made = []
    for _ in range(3):
        sequence = played._crew.sit(played, origin, History([]), "stop")
        sequence.state = READY
        sequence.station = station  # type: ignore[assignment]
        made.append(sequence)
    return made


def answer(played: Controllers, sequence: Sequence, kind: int, took: int = 0) -> None:
    """Answer what a sequence was asked last."""
    board = played.batch.board
    played.batch.rows.mask_array[sequence.row] = kind == control.MASK
    board.answer(sequence.line, kind)
    board.wide[(sequence.line + steps.TOOK) >> 1] = took
    board.words[sequence.line + steps.ANSWERED] = sequence.asked


def test_rows_are_asked_in_the_order_in_which_they_are_told(
    played: Controllers, station: Played, sequences: list[Sequence]
) -> None:
    one, two, three = sequences
    played.begin({three: [3], one: [1, 2], two: []})
    assert station.rows() == [three.row, one.row, two.row]
    board = played.batch.board
    assert [board.appended(each.line) for each in (three, one, two)] == [[3], [1, 2], []]
    assert [board.words[each.line] for each in sequences] == [each.number for each in sequences]


def test_masks_and_other_answers_are_told_apart_and_counted(
    played: Controllers, station: Played, sequences: list[Sequence]
) -> None:
    one, two, three = sequences
    played.begin({each: [5] for each in sequences})
    answer(played, one, control.MASK, took=2_000)
    answer(played, two, control.STOP, took=3_000)
    station.end()
    step = played.finish()
    assert step.outcomes[one] == ALLOWED
    assert step.outcomes[two] == STOP
    assert isinstance(step.outcomes[three], Suspended)  # its number is not there
    assert step.late == (three,)
    assert [each.steps for each in sequences] == [1, 1, 0]
    assert one.seconds == pytest.approx(2e-6)
    assert two.seconds == pytest.approx(3e-6)


def test_an_answer_from_before_a_rollback_is_no_mask(
    played: Controllers, station: Played, sequences: list[Sequence]
) -> None:
    one = sequences[0]
    played.begin({one: [5]})
    played.finish()
    played.roll_back(one, 1)
    answer(played, one, control.MASK)
    station.end()
    played.begin({one: []})
    assert station.rows() == [one.row]
    board = played.batch.board
    assert board.words[one.line + steps.ROLLBACK] == 1
    station.end()
    assert isinstance(played.finish().outcomes[one], Suspended)


def test_a_sequence_that_is_closed_meanwhile_has_no_answer(
    played: Controllers, station: Played, sequences: list[Sequence]
) -> None:
    one, two, _ = sequences
    played.begin({one: [5], two: [5]})
    one.close()
    answer(played, one, control.MASK)
    answer(played, two, control.MASK)
    station.end()
    assert list(played.finish().outcomes) == [two]


def test_more_tokens_than_a_line_has_room_for_fail(
    played: Controllers, station: Played, sequences: list[Sequence]
) -> None:
    outcomes = played.step({sequences[0]: [5] * (MAX_TOKENS + 1)}).outcomes
    failed = outcomes[sequences[0]]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, GuestMisbehaved)


@pytest.mark.parametrize("tokens", [[-1], [1 << 40], [3, 1 << 40], [-1, 3]])
def test_tokens_outside_the_vocabulary_are_refused_before_anything_is_done(
    played: Controllers, sequences: list[Sequence], tokens: list[int]
) -> None:
    with pytest.raises(InvalidArgument, match="outside the vocabulary"):
        played.begin({sequences[1]: [5], sequences[0]: tokens})
    assert sequences[1].tokens == []


def test_tokens_may_be_any_integers(
    played: Controllers, station: Played, sequences: list[Sequence]
) -> None:
    np = pytest.importorskip("numpy")
    played.begin({sequences[0]: np.array([7]), sequences[1]: (8,), sequences[2]: [np.int64(9)]})
    board = played.batch.board
    assert [board.appended(each.line) for each in sequences] == [[7], [8], [9]]
