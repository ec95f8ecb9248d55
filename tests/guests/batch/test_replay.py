"""Telling guests again what others like them were told."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from onecopy.errors import GuestError, GuestTrapped
from onecopy.guests.batch.replay import Replay
from onecopy.guests.batch.sequences import Told, ToldCall
from onecopy.guests.decoding.controller import Controller
from onecopy.guests.decoding.outcome import Mask
from onecopy.guests.wasm.engine import ticker

EPOCHS = 10_000


@pytest.fixture(autouse=True)
def time() -> Iterator[None]:
    """Let deadlines pass."""
    with ticker.running():
        yield


@pytest.fixture
def make(vocabulary, scripted, compiled):
    made: list[Controller] = []

    def make(told: Told):
        made.append(Controller(compiled(scripted), vocabulary, config=told.config))
        return made[-1], made[-1].init_prompt(told.prompt, told.seconds)

    make.made = made
    yield make
    for each in made:
        each.close()


def told(number: int, *calls: ToldCall, config: bytes = b"", prompt=(1, 2)) -> Told:
    return Told(number, number, "0" * 64, config, "", prompt, 5.0, 1 << 22, 1, calls)


def replayed(make, *members: Told) -> Replay:
    replay = Replay(list(members), EPOCHS)
    replay.open(make)
    for order in sorted(replay.orders()):
        replay.repeat(order)
    return replay


def mask_of(controller: Controller, tokens, size: int) -> list[int]:
    row = np.zeros((size + 31) // 32, np.uint32)
    outcome = controller.step(tokens, EPOCHS)
    assert isinstance(outcome, Mask)
    outcome.write(row.ctypes.data, len(row))
    return row.tolist()


def told_one_by_one(make, calls, prompt=(1, 2), size: int = 0) -> list[int]:
    controller, _ = make(told(99, prompt=prompt))
    for each in calls[:-1]:
        controller.step(each, EPOCHS)
        controller.settle()
    return mask_of(controller, calls[-1], size)


def test_a_guest_told_again_decides_as_the_first_did(make, vocabulary) -> None:
    replay = replayed(make, told(1, ToldCall(1, (3,)), ToldCall(2, (4, 5))))
    expected = told_one_by_one(make, [(3,), (4, 5), (6,)], size=vocabulary.size)
    assert mask_of(replay.controllers[1], (6,), vocabulary.size) == expected
    assert replay.errors == {}


def test_what_branches_have_in_common_is_told_once(make) -> None:
    shared = ToldCall(1, (3,))
    members = [told(number, shared, ToldCall(2, (), number - 1, 2)) for number in (1, 2)]
    replay = replayed(make, *members)
    assert len(make.made) == 1
    assert replay.controllers[1] is not replay.controllers[2]
    assert [replay.controllers[number].branch for number in (1, 2)] == [0, 1]


def test_branches_that_are_gone_leave_no_guest(make) -> None:
    replay = replayed(make, told(2, ToldCall(1, (), 2, 3)))
    assert list(replay.controllers) == [2]
    assert replay.controllers[2].branch == 2


def test_a_call_that_a_rollback_took_back_parts_the_family(make, vocabulary) -> None:
    """One was told [3] and then forked; the other was called before and after that alone."""
    first = told(1, ToldCall(1, (), 0, 2), ToldCall(3, (8,)))
    second = told(2, ToldCall(1, (), 1, 2), ToldCall(2, (7,)), ToldCall(3, (8,)))
    replay = replayed(make, first, second)
    masks = [mask_of(replay.controllers[number], (), vocabulary.size) for number in (1, 2)]
    assert masks[0] != masks[1]


def test_one_that_cannot_be_made_fails_all_that_go_back_to_it(make) -> None:
    replay = replayed(make, *(told(number, config=b"init_trap=0") for number in (1, 2)))
    assert replay.controllers == {}
    assert [type(replay.errors[number]) for number in (1, 2)] == [GuestTrapped] * 2


def test_one_that_fails_when_told_again_takes_only_its_own(make) -> None:
    config = b"trap=2"
    fork = [ToldCall(1, (), number, 2) for number in range(2)]
    first = told(1, fork[0], ToldCall(2, (1,)), ToldCall(3, (1,)), config=config)
    second = told(2, fork[1], ToldCall(2, (1,)), config=config)
    replay = replayed(make, first, second)
    assert list(replay.controllers) == [2]
    assert isinstance(replay.errors[1], GuestTrapped)


def test_one_that_chooses_otherwise_cannot_be_rebuilt(make) -> None:
    """A guest's choices are part of what the host has sampled since."""
    config = b"choose=1 token=5"
    assert replayed(make, told(1, ToldCall(1, (), chosen=5), config=config)).errors == {}
    replay = replayed(make, told(2, ToldCall(1, (), chosen=6), config=config))
    assert isinstance(replay.errors[2], GuestError)
    assert "rebuild=False" in str(replay.errors[2])
