"""The guest library outside of WebAssembly: its functions, its errors, the host for tests."""

from __future__ import annotations

import json

import onecopy_agent
import pytest
from onecopy_agent import (
    AgentError,
    Event,
    Failed,
    GiveUp,
    NotGranted,
    Retry,
    Unavailable,
    agent,
    entries,
    errors,
    http,
    kv,
    llm,
    log,
    memory,
)
from onecopy_agent.entry import Ended, handler
from onecopy_agent.testing import Host

from onecopy.agents import calls


def test_what_is_exported_is_all_there_is():
    assert all(hasattr(onecopy_agent, name) for name in onecopy_agent.__all__)


def test_every_code_of_the_host_has_an_exception():
    codes = {value for name, value in vars(calls).items() if name.isupper()}
    for code in codes:
        assert errors.of(code, "text").code == code
    assert type(errors.of("new", "text")) is Failed


def test_without_a_host_the_error_says_what_to_do():
    with pytest.raises(RuntimeError, match=r"onecopy_agent\.testing\.Host"):
        kv.agent.get("a")


def test_a_request_has_its_query_json_and_headers(host):
    host.http.reply("POST", "https://x.test/a?b=1&c=d+e", json={"ok": True}, headers={"ETag": "1"})
    reply = http.post("https://x.test/a?b=1", query={"c": "d e"}, json=[1], headers={"X-A": "b"})
    assert (reply.ok, reply.json(), reply.header("etag")) == (True, {"ok": True}, "1")
    [sent] = host.http.sent
    assert (sent.path, sent.query, sent.json()) == ("/a", {"b": "1", "c": "d e"}, [1])
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["x-a"] == "b"


def test_an_error_status_is_an_answer(host):
    host.http.reply("GET", "https://x.test/", status=500, text="<html>")
    reply = http.get("https://x.test/")
    assert not reply.ok
    with pytest.raises(Failed, match="500 with no JSON"):
        reply.json()


def test_answers_come_in_their_order_and_the_last_one_stays(host):
    for status in (503, 200):
        host.http.reply("GET", "https://x.test/", status=status)
    assert [http.get("https://x.test/").status for _ in range(3)] == [503, 200, 200]


def test_what_was_not_given_is_not_granted(host):
    with pytest.raises(NotGranted, match='method = "PUT", path = "/a"'):
        http.put("https://x.test/a")
    with pytest.raises(NotGranted, match=r"grants\.llm"):
        llm.chat("hi")
    with pytest.raises(NotGranted, match=r"grants\.entries"):
        entries.read("a")


def test_an_error_can_be_given(host):
    host.http.reply("GET", "https://x.test/", error=Unavailable("down"))
    with pytest.raises(Unavailable, match="down"):
        http.get("https://x.test/")


def test_values_are_json_and_scopes_are_apart(host):
    kv.agent.set("a", {"b": [1]})
    assert (kv.agent.get("a"), kv.conversation.get("a", 7)) == ({"b": [1]}, 7)
    assert kv.agent.keys() == ["a"]
    kv.agent.delete("a")
    kv.agent.delete("a")
    assert kv.agent.keys() == []


def test_memory_finds_what_shares_words(host):
    memory.add("notes", "the cat sat on the mat", {"page": 1})
    memory.add("notes", "stocks fell", None)
    best, other = memory.search("notes", "a cat")
    assert (best.metadata, best.score > other.score) == ({"page": 1}, True)


def test_a_chat_has_its_system_model_and_schema(host):
    host.llm.reply("{}")
    llm.chat([{"role": "user", "content": "hi"}], system="s", model="m", schema={"type": "object"})
    [sent] = host.llm.requests
    assert [each["role"] for each in sent["messages"]] == ["system", "user"]
    assert sent["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert sent["model"] == "m"


@pytest.mark.parametrize("reply", [{}, {"choices": []}, {"choices": [{"message": None}]}, []])
def test_what_is_no_completion_fails(host, reply):
    host.llm.reply(reply)
    with pytest.raises(Failed, match="no chat completion"):
        llm.chat("hi")


def test_an_event_keeps_what_it_knows():
    event = Event.of({"id": "1", "kind": "k", "attempt": 3, "new-in-a-later-version": 1})
    assert (event.id, event.kind, event.attempt, event.fields) == ("1", "k", 3, {})


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Retry(5, "wait"), {"message": "wait", "kind": "Retry", "retry_after": 5}),
        (GiveUp("no"), {"message": "no", "kind": "GiveUp", "retry": False}),
        (NotGranted("add …"), {"message": "add …", "kind": "NotGranted"}),
        (KeyError("a"), {"message": "'a'", "kind": "KeyError"}),
        (AssertionError(), {"message": "AssertionError", "kind": "AssertionError"}),
    ],
)
def test_how_a_run_ends_is_told_to_the_host(host, error, told):
    def handle(event):
        raise error

    with pytest.raises(Ended) as caught:
        host.run(handle, {})
    assert json.loads(str(caught.value)) == told
    unforeseen = not isinstance(error, (Retry, GiveUp))
    assert [level for level, _ in host.log] == ["error"] * unforeseen


def test_the_handler_is_called_handle_or_is_marked():
    import types

    module = types.ModuleType("mine")
    with pytest.raises(TypeError, match="needs one function"):
        handler(module)
    module.handle = lambda event: 1
    assert handler(module) is module.handle
    module.other = agent(lambda event: 2)
    assert handler(module) is module.other


def test_hosts_can_be_nested_and_are_left_in_order(host):
    with Host() as inner:
        log.info("inner")
    log.info("outer")
    assert (inner.log, host.log) == ([("info", "inner")], [("info", "outer")])


def test_errors_have_one_root():
    assert all(issubclass(each, AgentError) for each in errors._KINDS.values())
