"""What a trial expects, and what it answers an agent."""

from __future__ import annotations

import asyncio
import json

import pytest

from onecopy.agents.calls import Refused
from onecopy.agents.event import Event
from onecopy.agents.grants.http.http import Http
from onecopy.agents.grants.llm.answer import Answer
from onecopy.agents.grants.llm.endpoint import Endpoint
from onecopy.agents.grants.llm.request import parse
from onecopy.agents.manifest import Manifest
from onecopy.agents.outcome import ERROR, FAILED, OK, Outcome
from onecopy.agents.trial import Trial
from onecopy.errors import InvalidEvent

ANSWER = Outcome(OK, '{"a": 1, "b": {"c": 2, "d": 3}}')


@pytest.mark.parametrize(
    "trial",
    [
        Trial(payload={}),
        Trial(payload={}, expect={"a": 1}),
        Trial(payload={}, expect={"b": {"d": 3}}),
    ],
)
def test_of_an_object_the_keys_that_are_named_have_to_be_as_expected(trial):
    assert trial.complaint(ANSWER) == ""


@pytest.mark.parametrize("expect", [None, {"a": 2}, {"e": 1}, {"b": {}, "e": 0}, [1], "a"])
def test_anything_else_has_to_be_equal(expect):
    assert "it answered" in Trial(payload={}, expect=expect).complaint(ANSWER)


def test_a_run_that_has_to_fail_fails_for_its_reason():
    trial = Trial(payload={}, fails="granted")
    assert trial.complaint(Outcome(ERROR, '{"message": "not granted"}')) == ""
    assert "it answered" in trial.complaint(ANSWER)
    assert "too slow" in trial.complaint(Outcome(FAILED, "too slow"))
    assert Trial(payload={}).complaint(Outcome(ERROR, '{"message": "no"}')) == "it failed: no"


def test_a_file_that_is_no_trial_says_what_is_wrong(tmp_path):
    path = tmp_path / "first.json"
    unknown = '{"payload": 1, "expects": 2}'
    for text, says in [("{", "truncated"), (unknown, "expects"), ("{}", "payload")]:
        path.write_text(text)
        with pytest.raises(InvalidEvent, match=says):
            Trial.load(path)


GRANTED = Manifest.parse(
    '[agent]\nname = "x"\ncomponent = "x.wasm"\n[[grants.http]]\norigin = "https://a.example"\n'
    'method = "GET"\npath = "/{name}"\n',
    ".",
)


def test_requests_are_answered_if_a_grant_allows_them(tmp_path):
    path = tmp_path / "first.json"
    path.write_text('{"payload": {}, "http": {"GET https://a.example/zen": {"json": [1]}}}')
    event = Event("1", "x", "cli", "k", "s", {}, {}, {}, 1, 0.0)
    http = Http(GRANTED.grants.http, event, Trial.load(path).client())

    def get(url: str) -> object:
        request = {"method": "GET", "url": url, "headers": [], "body": None}
        return asyncio.run(http.call("send", [request]))

    assert get("https://a.example/zen")["body"] == "[1]"
    with pytest.raises(Refused, match='add to "http": "GET https'):
        get("https://a.example/other")
    with pytest.raises(Refused, match="is not granted"):
        get("https://b.example/zen")


def test_models_answer_in_order_and_then_no_more():
    client = Trial(payload={}, llm=["one", "two"]).client()
    model = Endpoint(client, "https://llm.example/v1", key="k", private=False, seconds=5)
    request = parse('{"messages": [{"role": "user", "content": "?"}]}', ["m"])

    def ask() -> str:
        answer = Answer("m")
        asyncio.run(model.complete(request, 100, answer))
        return str(answer.response(1))

    assert "one" in ask()
    assert "two" in ask()
    with pytest.raises(Refused, match="no further answer"):
        ask()


def test_a_model_may_call_a_tool(tmp_path):
    path = tmp_path / "first.json"
    path.write_text('{"payload": {}, "llm": [{"tool": "t", "arguments": {"a": [1]}}, "done"]}')
    model = Endpoint(
        Trial.load(path).client(), "https://llm.example/v1", key="", private=False, seconds=5
    )
    tool = {"type": "function", "function": {"name": "t", "parameters": {"type": "object"}}}
    asked = {"messages": [{"role": "user", "content": "?"}], "tools": [tool]}
    request = parse(json.dumps(asked), ["m"])
    answer = Answer("m")
    asyncio.run(model.complete(request, 100, answer))
    choice = answer.response(1)["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    (call,) = choice["message"]["tool_calls"]
    assert call["function"] == {"name": "t", "arguments": '{"a":[1]}'}


def test_what_a_model_cannot_say_is_refused(tmp_path):
    path = tmp_path / "first.json"
    path.write_text('{"payload": {}, "llm": [{"tol": "t"}]}')
    with pytest.raises(InvalidEvent, match="tol"):
        Trial.load(path)
