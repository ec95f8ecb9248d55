from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from onecopy import InferenceFailed
from onecopy.nn.backends.text.options import read
from onecopy.nn.backends.text.sampler import CountPenalty, Sampler

pytest.importorskip("transformers")

LOGITS = torch.tensor([[1.0, 2.0, 3.0, 2.5, -1.0]])


def chosen(options: dict, logits: torch.Tensor = LOGITS, generated=(), count: int = 1) -> list[int]:
    sampler = Sampler(read(options), [], frozenset({2}))
    tokens = [4, 4, *generated]
    return [sampler.choose(tokens, 2, logits) for _ in range(count)]


def test_at_temperature_0_the_likeliest_is_chosen() -> None:
    assert set(chosen({"temp": 0}, count=20)) == {2}
    assert set(chosen({"temp": -1.0}, count=20)) == {2}
    assert set(chosen({"temp": 1e-300}, count=20)) == {2}


@given(
    st.fixed_dictionaries(
        {},
        optional={
            **{name: st.floats(-1e6, 1e6) for name in ("temp", "top-p", "min-p", "typ-p")},
            **{f"{name}-penalty": st.floats(-1e6, 1e6) for name in ("presence", "frequency")},
            "repeat-penalty": st.floats(1e-6, 1e6),
            **{name: st.integers() for name in ("top-k", "seed", "last-n-penalty")},
        },
    ),
    st.lists(st.integers(0, 4), max_size=5),
)
def test_whatever_the_options_a_token_is_chosen(options: dict, generated: list[int]) -> None:
    assert 0 <= chosen(options, generated=generated)[0] < 5


def test_a_seed_gives_the_same_tokens_again() -> None:
    first = chosen({"temp": 5.0, "seed": 7}, count=50)
    assert chosen({"temp": 5.0, "seed": 7}, count=50) == first
    assert chosen({"temp": 5.0, "seed": 8}, count=50) != first


def test_without_a_seed_the_tokens_differ() -> None:
    for seed in ({}, {"seed": -1}, {"seed": 0xFFFFFFFF}):
        options = {"temp": 5.0, **seed}
        assert chosen(options, count=80) != chosen(options, count=80)


def test_what_is_unlikely_is_cut_off() -> None:
    plain = {"temp": 3.0, "seed": 1, "top-k": 0, "top-p": 1.0, "min-p": 0.0}
    assert len(set(chosen(plain, count=400))) == 5
    assert set(chosen(plain | {"top-k": 2}, count=200)) == {2, 3}
    assert set(chosen(plain | {"top-p": 0.7}, count=200)) == {2, 3}
    assert set(chosen(plain | {"top-p": -4.0}, count=50)) == {2}
    assert set(chosen(plain | {"min-p": 0.3}, count=200)) == {1, 2, 3}
    assert 4 not in chosen(plain | {"typ-p": 0.5}, count=200)


def test_tokens_follow_their_probabilities() -> None:
    plain = {"temp": 1.0, "seed": 3, "top-k": 0, "top-p": 1.0, "min-p": 0.0}
    counts = Counter(chosen(plain, count=4000))
    for token, share in enumerate(LOGITS.softmax(-1)[0].tolist()):
        assert counts[token] / 4000 == pytest.approx(share, abs=0.03)


def test_penalties_are_for_what_was_generated_and_not_for_the_prompt() -> None:
    logits = torch.tensor([[0.0, 0.0, 3.0, 2.5, 2.9]])
    assert chosen({"temp": 0, "repeat-penalty": 2.0}, logits) == [2]
    assert chosen({"temp": 0, "repeat-penalty": 2.0}, logits, [2]) == [4]
    assert chosen({"temp": 0, "presence-penalty": 1.0}, logits, [2, 4]) == [3]
    assert chosen({"temp": 0, "frequency-penalty": 0.2}, logits, [2, 2, 2, 4]) == [4]


def test_penalties_forget_what_is_long_ago() -> None:
    options = {"temp": 0, "presence-penalty": 5.0, "last-n-penalty": 2}
    assert chosen(options, generated=[2, 3, 3]) == [2]
    assert chosen(options | {"last-n-penalty": -1}, generated=[2, 3, 3]) == [1]
    assert chosen(options | {"last-n-penalty": 0}, generated=[2, 3, 3]) == [2]


def test_a_penalty_by_count_is_openais_formula() -> None:
    scores = torch.zeros(1, 4)
    found = CountPenalty(0.5, 0.25)(torch.tensor([[1, 1, 3]]), scores)
    assert found.tolist() == [[0.0, -1.25, 0.0, -0.75]]
    assert scores.tolist() == [[0.0] * 4]


def test_a_text_that_must_not_end_does_not() -> None:
    assert chosen({"temp": 0, "ignore-eos": True}) == [3]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_logits_that_are_no_numbers_are_a_failure(value: float) -> None:
    for options in ({"temp": 0}, {"temp": 1.0}):
        with pytest.raises(InferenceFailed, match="not finite"):
            chosen(options, torch.full((1, 5), value))
