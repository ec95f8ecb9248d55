"""The bot as it runs: built, in WebAssembly, beside a GitHub in memory."""

from __future__ import annotations

import json

import pytest

from tests.agents.code_review.conftest import answer, finding
from tests.agents.sdk.running import Component

# The first one builds and compiles a component with all of Python in it.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def component(python_agent, shared_folder):
    return Component(python_agent, shared_folder)


def test_the_component_keeps_one_comment_up_to_date(component, host, github):
    event = {
        "id": "1",
        "kind": "pull_request.opened",
        "fields": {"repo": "octo/hello", "number": "7"},
        "settings": {"github": github.api, "labels": {"low": "risk-low", "high": "risk-high"}},
    }
    host.llm.serve(lambda request: json.dumps(answer(finding(11))))
    tag, told = component.run(host, event)
    assert (tag, told["status"], told["inline"]) == ("ok", "reviewed", 1)
    assert component.run(host, event)[1]["why"] == "this head is reviewed already"
    github.push({"b.py": "x = 1\n"})
    assert component.run(host, {**event, "id": "2"})[1]["scope"] == "incremental"
    assert len(github.comments) == 1
    assert github.labels == ["risk-high"]
    assert ("step", "review 1/1") in host.log
