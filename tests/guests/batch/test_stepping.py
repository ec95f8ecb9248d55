"""Steps: who is asked, who is awaited, and what is said of each."""

from __future__ import annotations

import os
import signal

from onecopy.errors import GuestMisbehaved
from onecopy.guests.batch import steps
from onecopy.guests.batch.answers import Allowed, Failed, Fork
from onecopy.guests.batch.controllers import Controllers
from tests.guests.batch.test_controllers import allowed, decode
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


def test_a_fork_in_a_step_leaves_the_others_their_answers(
    controllers: Controllers, scripted: bytes
) -> None:
    forking = controllers.open(scripted, "fork=1 branches=2", request="one")
    other = controllers.open(scripted, request="one")
    alone = controllers.open(scripted)
    step = controllers.step({forking: [], other: [], alone: []})
    fork = step.outcomes[forking]
    assert isinstance(fork, Fork)
    assert fork.sequences[0] is forking
    assert allowed(step, other) == allowed(step, alone)
    masks = decode(controllers, list(fork.sequences), 1)
    assert masks[0] != masks[1]


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
