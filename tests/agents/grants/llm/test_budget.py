"""Budgets of tokens and money."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.agents.calls import BUDGET, Refused
from onecopy.agents.grants.llm.budget import ANSWER_TOKENS, Budget, Spending, Usage
from onecopy.agents.manifest.grants import LlmGrant, Price


def grant(**fields: Any) -> LlmGrant:
    given = {"url": "https://a.example/v1", "models": ("m",), "price": Price(input=1, output=4)}
    return LlmGrant(**{**given, **fields})


def budget(spending: Spending | None = None, **fields: Any) -> Budget:
    return Budget(grant(**fields), spending or Spending(), lambda usage: None)


def refusal(budget: Budget, prompt: int, wanted: int | None = None) -> str:
    with pytest.raises(Refused) as caught:
        budget.allow(prompt, wanted)
    assert caught.value.refusal.code == BUDGET
    return caught.value.refusal.message


def test_an_answer_has_what_is_left_of_the_tokens() -> None:
    own = budget(tokens=1000)
    assert own.allow(300, None) == 700
    assert own.allow(300, 10) == 10
    assert own.allow(300, 10_000) == 700
    own.spend("m", 200, 100, estimated=False)
    assert own.allow(300, None) == 400
    assert "tokens = 1000" in refusal(own, 700)
    assert budget(tokens=10**9).allow(1, None) == ANSWER_TOKENS


def test_money_limits_an_answer_too() -> None:
    own = budget(tokens=10**9, usd=0.001)  # 1000 tokens of prompts, or 250 of answers
    assert own.allow(600, None) == 100
    own.spend("m", 600, 0, estimated=False)
    assert own.allow(200, None) == 50
    assert "usd = 0.001" in refusal(own, 400)


def test_the_days_money_is_shared_by_all_runs_with_what_they_may_yet_spend() -> None:
    spending = Spending(0.001)
    first, second = (budget(spending, tokens=10**9, usd_per_day=0.002) for _ in range(2))
    assert first.allow(600, None) == 100
    with first.holding(600, 50):  # 0.0008
        assert second.allow(100, None) == 25
        assert "usd_per_day" in refusal(second, 200)
    first.spend("m", 400, 0, estimated=False)
    assert second.allow(200, None) == 100


def test_calls_of_a_run_at_the_same_time_do_not_count_on_the_same_tokens() -> None:
    own = budget(tokens=1000, usd=0.003)
    with own.holding(300, 500):  # 0.0023
        assert own.allow(100, None) == 100
        assert own.allow(199, None) == 1
        refusal(own, 200)
    assert own.allow(200, None) == 700


def test_the_next_day_has_its_own_money() -> None:
    now = [86400.0 * 100]
    spending = Spending(5.0, lambda: now[0])
    assert spending.today() == 5.0
    spending.add(1.0)
    assert spending.today() == 6.0
    now[0] += 86400
    assert spending.today() == 0.0
    spending.add(2.0)
    assert spending.today() == 2.0


def test_what_costs_nothing_is_limited_by_tokens_only() -> None:
    free = budget(price=Price(input=0, output=0), usd=1.0, tokens=50)
    assert free.allow(20, None) == 30


def test_usage_is_reported_with_its_cost() -> None:
    reported: list[Usage] = []
    own = Budget(grant(), Spending(), reported.append)
    own.spend("m", 1000, 500, estimated=True)
    assert reported == [Usage("m", 1000, 500, 0.003, True)]


@given(
    calls=st.lists(st.tuples(st.integers(0, 400), st.none() | st.integers(1, 400)), max_size=20),
    usd=st.none() | st.floats(1e-6, 0.01),
)
def test_what_is_allowed_never_goes_beyond_a_budget(calls: Any, usd: float | None) -> None:
    spending = Spending()
    own = budget(spending, tokens=1000, usd=usd, usd_per_day=0.003)
    used, money = 0, 0.0
    for prompt, wanted in calls:
        try:
            most = own.allow(prompt, wanted)
        except Refused:
            continue
        assert most >= 1
        own.spend("m", prompt, most, estimated=False)
        used += prompt + most
        money += own.cost(prompt, most)
    assert used <= 1000
    assert money <= (usd or 1) + 1e-12
    assert spending.today() <= 0.003 + 1e-12
