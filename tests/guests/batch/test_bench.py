"""A worker's rows: what is done before guests are called, and after."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from onecopy.guests.batch import steps
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.wasm import control
from onecopy.guests.wasm.engine import ticker
from tests.guests.batch.place import (
    GUEST,
    ROWS,
    SIZE,
    A,
    places,
    seat,
)
from tests.guests.tokenizers_of import byte_level


@pytest.fixture(scope="module")
def vocabulary() -> Iterator[Vocabulary]:
    with Vocabulary.from_tokenizer(byte_level(), size=SIZE) as vocabulary:
        yield vocabulary


@pytest.fixture(scope="module")
def module(build: Callable[..., bytes], compiled: Callable[[bytes], Any]) -> Any:
    return compiled(build(GUEST))


def test_marks_say_whose_guest_runs(vocabulary: Vocabulary, module: Any) -> None:
    with places(vocabulary) as both, ticker.running():
        for place in both:
            seen: list[Any] = []
            for row in range(ROWS):
                controller = seat(place, module, row, culprit=70 + row)
                controller._host.say = lambda *_, place=place, seen=seen: seen.append(place.marks())
            place.step({row: [A] for row in (2, 0, 1)})
            assert seen == [(row + 1, 70 + row, 50_000_000) for row in (2, 0, 1)]
            assert place.worker.progress.read() is None
            assert place.board.words[place.bench.slot + steps.RUNNING] == 0


def test_a_sequence_that_is_not_here_is_told_so(vocabulary: Vocabulary, module: Any) -> None:
    with places(vocabulary) as both, ticker.running():
        for place in both:
            seat(place, module, 1)
            place.step({0: [], 1: []})
            assert "its guest is not here" in place.answer(0)[1]
            assert place.answer(1)[0] == control.MASK


def test_garbage_is_collected_between_steps(vocabulary: Vocabulary, module: Any) -> None:
    with places(vocabulary) as both, ticker.running():
        for place in both:
            seen: list[bool] = []
            controller = seat(place, module, 0)
            controller._host.say = lambda *_, seen=seen: seen.append(gc.isenabled())
            place.step({0: []})
            assert seen == [False]
            assert gc.isenabled()


def test_a_grammar_that_takes_long_ahead_costs_its_guest(
    vocabulary: Vocabulary, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with places(vocabulary) as both, ticker.running():
        place = both[0]
        slow, other = (seat(place, module, row, culprit=row) for row in (0, 1))
        place.step({0: [A], 1: [A]})

        def think() -> None:
            end = time.thread_time() + 0.15  # three times guest_seconds, of this thread's own time
            while time.thread_time() < end:
                pass

        monkeypatch.setattr(slow._host, "foresee", think)
        place.step({0: [A], 1: [A]})
        assert "most of them in the host" in place.answer(0)[1]
        assert place.answer(1)[0] == control.MASK
        assert other.steps == 2
