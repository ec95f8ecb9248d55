"""The plan-act loop: tools, mistakes of the model, and budgets."""

from __future__ import annotations

import pytest
from onecopy_agent import BudgetExceeded, plan, tool, tools
from onecopy_agent.testing import completion, tool_call


@tool
def add(first: int, second: int = 1) -> int:
    """The sum of two numbers."""
    return first + second


@tool
def boom() -> str:
    """Fails."""
    raise ValueError("boom")


def test_a_tool_is_called_and_its_result_told(host):
    host.llm.reply(completion(calls=[tool_call("add", {"first": 2})]), "three")
    result = plan.act("Add one to two.", [add], model="m")
    assert result.text == "three"
    assert result.steps == [plan.Step("add", {"first": 2}, "3", failed=False)]
    assert result.tokens == 30
    first, second = host.llm.requests
    assert first["tools"] == [add.describe()]
    assert first["model"] == "m"
    assert [each["role"] for each in second["messages"]] == ["system", "user", "assistant", "tool"]
    assert ("step", "tool add") in host.log


def test_several_calls_of_one_answer_are_all_carried_out(host):
    calls = [tool_call("add", {"first": n}, id=f"c{n}") for n in range(2)]
    host.llm.reply(completion(calls=calls), "done")
    assert [each.result for each in plan.act("…", [add]).steps] == ["1", "2"]
    told = host.llm.requests[1]["messages"][-2:]
    assert [each["tool_call_id"] for each in told] == ["c0", "c1"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (tool_call("add", "{cut"), "error: add: the arguments are no JSON object"),
        (tool_call("add", {"first": "2"}), "error: add: first is no integer"),
        (tool_call("add", {}), "error: add: the value lacks 'first'"),
        (tool_call("sub", {}), "error: there is no tool 'sub'; there are: add, boom"),
        (tool_call("boom", {}), "error: boom"),
    ],
)
def test_mistakes_are_told_to_the_model(host, call, said):
    host.llm.reply(completion(calls=[call]), "sorry")
    result = plan.act("…", [add, boom])
    assert (result.steps[0].result, result.steps[0].failed) == (said, True)
    assert host.llm.requests[1]["messages"][-1]["content"] == said


def test_with_its_last_step_the_model_has_to_answer(host):
    host.llm.serve(lambda request: completion(calls=[tool_call("add", {"first": 1})]))
    host.llm.reply(*[completion(calls=[tool_call("add", {"first": 1})])] * 2, "enough")
    assert plan.act("…", [add], plan.Budget(steps=3)).text == "enough"
    assert "tools" not in host.llm.requests[-1]


def test_the_budget_of_tokens_ends_it(host):
    again = completion(calls=[tool_call("add", {"first": 1})], prompt_tokens=600)
    host.llm.reply(again, again, again)
    with pytest.raises(BudgetExceeded, match=r"1210 tokens"):
        plan.act("…", [add], plan.Budget(tokens=1000))
    assert len(host.llm.requests) == 2


def test_a_budget_of_the_manifest_ends_it_too(host):
    host.llm.reply(BudgetExceeded("of the run"))
    with pytest.raises(BudgetExceeded, match="of the run"):
        plan.act("…", [add])


def test_a_long_result_is_cut(host):
    @tool
    def long() -> str:
        """Much text."""
        return "x" * 100

    host.llm.reply(completion(calls=[tool_call("long", {})]), "ok")
    steps = plan.act("…", [long], plan.Budget(result=10)).steps
    assert steps[0].result == "xxxxxxxxxx [cut: 100 characters]"


def test_tools_of_the_host_are_used_like_ones_own(host):
    host.tools.append(add)
    host.llm.reply(completion(calls=[tool_call("add", {"first": 4})]), "five")
    assert plan.act("…", tools.granted()).steps[0].result == "5"
    assert ("tools.call", ["add", '{"first": 4}']) in host.calls
