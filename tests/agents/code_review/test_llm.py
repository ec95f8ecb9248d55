"""Answers of the model: slow, cut, empty, no JSON, of another schema, beyond a budget."""

from __future__ import annotations

import json

import pytest

from tests.agents.code_review.conftest import answer, finding


def test_an_answer_in_a_fence_is_read(bot, github, host):
    host.llm.reply("Here it is:\n```json\n" + json.dumps(answer(summary="Fenced.")) + "\n```")
    bot()
    assert "Fenced." in github.body


@pytest.mark.parametrize(
    "said", ["", "I cannot do that.", '{"summary": "cut', "[1]", "{}", json.dumps(answer(risk="x"))]
)
def test_what_does_not_fit_is_repaired_once(bot, github, host, said):
    host.llm.reply(said, json.dumps(answer(summary="Repaired.")))
    assert bot()["calls"] == 2
    assert "Repaired." in github.body
    assert host.llm.requests[1]["messages"][-1]["content"].startswith("That is not what")


def test_what_does_not_fit_twice_is_said_in_the_comment(bot, github, host):
    host.llm.reply("no", "no")
    bot()
    assert "the model gave no valid answer" in github.body


def test_fields_that_a_model_adds_are_ignored(bot, github, host):
    host.llm.reply(json.dumps(answer(finding(11, confidence=0.9), mood="good")))
    assert bot()["findings"] == 1


def test_a_server_without_schemas_is_asked_without(bot, host):
    from onecopy_agent import Failed

    host.llm.reply(Failed("400: response_format is unknown"))
    assert bot()["status"] == "reviewed"
    assert "response_format" in host.llm.requests[0]
    assert "response_format" not in host.llm.requests[1]


def test_a_large_change_is_reviewed_in_parts_and_merged(bot, github, host):
    github.push({f"src/{n}.py": f"value = {n}\n" * 300 for n in range(3)})

    def says(request):
        asked = request["messages"][-1]["content"]
        if "reviews of the parts" in request["messages"][0]["content"]:
            return json.dumps(answer(summary="All of it."))
        path = next(f"src/{n}.py" for n in range(3) if f"src/{n}.py" in asked)
        return json.dumps(
            answer(finding(1, path, title=f"Seen {path}", severity="low"), risk="medium")
        )

    host.llm.serve(says)
    result = bot(settings={"tokens_per_call": 2500})
    assert result["calls"] > 3
    assert "All of it." in github.body
    assert result["risk"] == "medium", "no less than that of a part"
    assert all(f"src/{n}.py" in github.body for n in range(3))


def test_code_is_reviewed_before_its_tests_and_all_else(bot, github, host):
    names = ["README.md", "a/test_x.py", "tests/y.py", "z.py"]
    github.commits = [{**github.base, **{name: f"{name}\n" * 200 for name in names}}]
    bot(settings={"tokens_per_call": 2500, "calls": 9})
    asked = "".join(each["messages"][-1]["content"] for each in host.llm.requests)
    places = [asked.index(f"--- file: {name}") for name in ("z.py", "a/test_x.py", "README.md")]
    assert places == sorted(places)


def test_a_budget_that_ends_half_way_leaves_what_was_reviewed(bot, github, host):
    from onecopy_agent import BudgetExceeded

    github.push({f"src/{n}.py": f"value = {n}\n" * 300 for n in range(3)})
    host.llm.reply(json.dumps(answer(summary="The first part.")), *[BudgetExceeded("used up")] * 9)
    bot(settings={"tokens_per_call": 2500})
    assert "The first part." in github.body
    assert "the budget is used up" in github.body


def test_a_budget_that_is_used_up_at_once_fails_the_run(bot, github, host):
    from onecopy_agent import BudgetExceeded
    from onecopy_agent.entry import Ended

    host.llm.reply(BudgetExceeded("of today"))
    with pytest.raises(Ended, match="of today"):
        bot()
    assert not github.comments


def test_an_answer_that_cannot_be_kept_is_used_nevertheless(bot, github, host, monkeypatch):
    from onecopy_agent import BudgetExceeded, kv

    def full(*_):
        raise BudgetExceeded("the quota is used up")

    monkeypatch.setattr(kv.Scope, "set", full)
    assert bot()["status"] == "reviewed"
    assert "It adds a line." in github.body


def test_nothing_to_review_asks_no_model(bot, github, host):
    github.commits = [{**github.base, "package-lock.json": "{}\n"}]
    bot()
    assert not host.llm.requests
    assert "lock file" in github.body
