"""Calling guests: the loop in C does what the one in Python does, whatever guests do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.wasm import control
from onecopy.guests.wasm.engine import ticker
from tests.guests.batch.place import (
    GUEST,
    LETTERS,
    LOOP,
    MASKS,
    OPERATIONS,
    ROWS,
    SIZE,
    A,
    places,
    seat,
)
from tests.guests.tokenizers_of import byte_level

TOKENS = st.lists(st.sampled_from(LETTERS) | st.integers(0, SIZE - 1), max_size=3)
OPERATION = st.just(0) | st.sampled_from(MASKS) | st.integers(0, OPERATIONS - 1)


@pytest.fixture(scope="module")
def vocabulary() -> Iterator[Vocabulary]:
    with Vocabulary.from_tokenizer(byte_level(), size=SIZE) as vocabulary:
        yield vocabulary


@pytest.fixture(scope="module")
def module(build: Callable[..., bytes], compiled: Callable[[bytes], Any]) -> Any:
    return compiled(build(GUEST))


@settings(max_examples=60, deadline=None)
@given(
    calls=st.lists(
        st.tuples(TOKENS, TOKENS, st.integers(0, 3), st.tuples(*[OPERATION] * ROWS)),
        min_size=1,
        max_size=12,
    ),
    biases=st.booleans(),
    keep=st.sampled_from([0, 4]),
)
def test_a_batch_gets_the_same_answers_with_and_without_the_c_library(
    vocabulary: Vocabulary, module: Any, calls: list[Any], biases: bool, keep: int
) -> None:
    with places(vocabulary, biases=biases, keep=keep) as both, ticker.running():
        for place in both:
            for row in range(ROWS):
                seat(place, module, row)
        for some, others, back, operations in calls:
            told = {0: some, 2: others, 1: [*some, *others]}
            for place in both:
                for row, operation in enumerate(operations):
                    place.variables[row][b"operation"] = bytes([operation])
                place.step(told, back if keep else 0)
            for row in told:
                assert both[0].answer(row) == both[1].answer(row)


def test_a_guest_that_does_as_always_is_answered_by_c_alone(
    vocabulary: Vocabulary, module: Any
) -> None:
    with places(vocabulary) as both, ticker.running():
        place = both[0]
        controller = seat(place, module, 0)
        place.step({0: [A]})  # what it asks is not known yet
        lines = len(controller.logs)
        handles = controller._host.handles
        finished: list[int] = []
        place.bench.caller._finish = lambda *_: finished.append(1)  # type: ignore[method-assign]
        place.step({0: [A]})
        assert not finished
        assert place.answer(0)[0] == control.MASK
        assert controller.steps == 2
        assert handles[0].node[2] == 2
        assert len(controller.logs) == lines + 1


def test_a_loop_costs_itself_and_its_kind_runs_last(
    vocabulary: Vocabulary, module: Any, build: Callable[..., bytes], compiled: Callable[..., Any]
) -> None:
    looping = compiled(build(LOOP))
    with places(vocabulary) as both:
        for place in both:
            seat(place, looping, 0, culprit=1)
            seat(place, looping, 1, culprit=1)
            seat(place, module, 2, culprit=2)
            place.step({0: [5], 1: [], 2: []}, end=0)
            assert "did not return within" in place.answer(0)[1]
            assert "have used up the step" in place.answer(1)[1]
            assert place.answer(2)[0] == control.MASK


def test_a_step_that_is_over_for_another_reason_fails_none_of_its_kind(
    vocabulary: Vocabulary, module: Any, build: Callable[..., bytes], compiled: Callable[..., Any]
) -> None:
    """Their worker was stopped, say: they are late, and no more."""
    looping = compiled(build(LOOP))
    with places(vocabulary) as both:
        for place in both:
            seat(place, looping, 0, culprit=1)
            seat(place, looping, 1, culprit=1)
            place.step({0: [5]})
            assert "did not return within" in place.answer(0)[1]
            for _ in range(2):
                place.step({1: []}, end=0)
                assert place.answer(1)[0] == control.MASK


def test_time_is_counted_for_each_row(vocabulary: Vocabulary, module: Any) -> None:
    with places(vocabulary) as both, ticker.running():
        for place in both:
            controller = seat(place, module, 0)
            place.step({0: []})
            assert place.board.nanoseconds_of(place.board.line(0)) > 0
            assert controller.seconds > 0
