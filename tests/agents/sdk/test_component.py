"""Built components: what the guest libraries ask for arrives, and answers come back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.agents.sdk.running import Component, built, fetched

# The first one builds and compiles a component with all of Python in it.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module", params=["py", "js"])
def component(request, shared_folder, tmp_path_factory):
    if request.param == "py":
        return Component(request.getfixturevalue("python_agent"), shared_folder)
    fetched(shared_folder)
    folder = tmp_path_factory.mktemp("everything")
    shutil.copy(Path(__file__).with_name("everything.js"), folder)
    return Component(built(folder / "everything.js", shared_folder), shared_folder)


@pytest.fixture
def given(host):
    from onecopy_agent import tool
    from onecopy_agent.testing import completion, tool_call

    @tool
    def shout(text: str) -> str:
        """Louder."""
        return text.upper()

    host.tools.append(shout)
    host.entries.update({"docs/a": "A", "other": "B"})
    host.http.serve(_serve)
    host.llm.reply("hi", completion(calls=[tool_call("twice", {"number": 4})]), "eight")
    return host


def _serve(sent):
    from onecopy_agent import NotGranted

    if sent.url == "https://other.test/":
        raise NotGranted("add to agent.toml: …")
    return 201, {"X-A": "1"}, {"sent": sent.json(), "query": sent.query}


def test_every_function_of_the_host_is_reached(component, given):
    tag, answer = component.run(given, {"id": "1", "kind": "all"})
    assert tag == "ok", answer
    assert 0 < answer.pop("random") < 1
    assert answer == {
        "kv": [[1], "none", ["a"]],
        "hit": ["a red bird", {"page": 3}, True],
        "http": [201, "1", {"sent": {"k": "ü"}, "query": {"q": "a b"}}],
        "refusal": "add to agent.toml: …",
        "entries": [["docs/a"], "A", "A"],
        "tools": [["shout"], "HI"],
        "llm": "hi",
        "plan": "eight",
    }
    assert given.log == [("step", "all"), ("warning", "ä"), ("step", "tool twice")]
    assert given.llm.requests[-1]["messages"][-1] == {
        "role": "tool",
        "tool_call_id": "call-1",
        "content": "8",
    }


def test_a_run_that_asks_for_later_says_when(component, host):
    tag, answer = component.run(host, {"kind": "later"})
    assert (tag, answer) == ("err", {"message": "not now", "kind": "Retry", "retry_after": 7})


def test_a_bug_is_an_error_with_its_traceback_in_the_log(component, host):
    tag, answer = component.run(host, {"kind": "broken"})
    assert (tag, answer["kind"]) in [("err", "ZeroDivisionError"), ("err", "TypeError")]
    [(level, text)] = host.log
    assert level == "error"
    assert "everything" in text


def test_runs_do_not_share_their_random_numbers(component, given):
    from onecopy_agent.testing import completion, tool_call

    first = component.run(given, {"id": "1"})[1]["random"]
    given.llm.reply("hi", completion(calls=[tool_call("twice", {"number": 4})]), "eight")
    assert component.run(given, {"id": "2"})[1]["random"] != first
