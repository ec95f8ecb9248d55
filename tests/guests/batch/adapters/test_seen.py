"""Logits that guests see: what is put into their rows, and what is taken of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from onecopy.guests.batch.answers import ALLOWED, FREE, STOP

torch = pytest.importorskip("torch")
seen = pytest.importorskip("onecopy.guests.batch.adapters.seen")

EVERYTHING = -1  # all bits of a word
INF = float("inf")


def sequence(row: int, asked: int = 0) -> Any:
    """All that is looked at of a sequence; each one is another key."""
    return Row(row=row, asked=asked)


class Row(SimpleNamespace):
    __hash__ = object.__hash__  # type: ignore[assignment]


@pytest.fixture
def rows() -> Any:
    """Three rows of a vocabulary of six."""
    return torch.zeros(3, 6)


def test_a_guest_sees_what_the_model_says_of_each_token(rows) -> None:
    logits = seen.SeenLogits(rows)
    logits.show(sequence(1), torch.arange(6.0))
    assert rows[1].tolist() == [0, 1, 2, 3, 4, 5]
    assert not rows[[0, 2]].any()


def test_tokens_that_a_model_has_no_logits_for_are_forbidden(rows) -> None:
    seen.SeenLogits(rows).show(sequence(0), torch.ones(4))
    assert rows[0].tolist() == [1, 1, 1, 1, -INF, -INF]


def test_logits_beyond_the_vocabulary_are_not_shown(rows) -> None:
    seen.SeenLogits(rows).show(sequence(0), torch.ones(9))
    assert rows[0].tolist() == [1] * 6


def test_one_that_is_late_keeps_what_it_works_on(rows) -> None:
    seen.SeenLogits(rows).show(sequence(0, asked=7), torch.ones(6))
    assert not rows.any()


def taken(rows: Any, answers: list[Any], logits: Any, words: list[int]) -> list[list[float]]:
    told = {sequence(row): answer for row, answer in enumerate(answers)}
    mask = torch.tensor([[word] for word in words], dtype=torch.int32)
    before = logits.clone()
    result = seen.SeenLogits(rows).taken(told, logits, mask)
    assert torch.equal(logits, before)
    return result.tolist()


def test_what_guests_left_is_taken_and_their_masks_hold(rows) -> None:
    rows[:] = 5.0
    assert taken(rows[:2], [ALLOWED, ALLOWED], torch.zeros(2, 6), [EVERYTHING, 0b11]) == [
        [5] * 6,
        [5, 5, -INF, -INF, -INF, -INF],
    ]


@pytest.mark.parametrize("answer", [FREE, STOP])
def test_the_model_s_own_are_taken_where_no_guest_answered(rows, answer) -> None:
    rows[:] = 5.0
    assert taken(rows[:1], [answer], torch.ones(1, 6), [0b101]) == [[1, -INF, 1, -INF, -INF, -INF]]


@pytest.mark.parametrize("left", [float("nan"), INF, -INF])
def test_a_row_that_cannot_be_sampled_from_is_the_model_s_own(rows, left: float) -> None:
    rows[:] = 5.0
    rows[1, :] = left
    assert taken(rows[:2], [ALLOWED, ALLOWED], torch.ones(2, 6), [EVERYTHING, EVERYTHING]) == [
        [5] * 6,
        [1] * 6,
    ]


def test_one_nan_beside_good_logits_is_enough(rows) -> None:
    rows[0, 3] = float("nan")
    assert taken(rows[:1], [ALLOWED], torch.ones(1, 6), [EVERYTHING]) == [[1] * 6]


def test_a_nan_that_the_mask_forbids_harms_nobody(rows) -> None:
    rows[0, 3] = float("nan")
    assert taken(rows[:1], [ALLOWED], torch.ones(1, 6), [0b1]) == [[0] + [-INF] * 5]
