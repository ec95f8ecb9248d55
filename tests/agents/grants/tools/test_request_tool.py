"""Tools that are requests: driven by a model that is talked into attacks, against a real server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.agents import sdk
from onecopy.agents.calls import Host, Refusal, Refused
from onecopy.agents.canned import Canned, Page, Placeholders
from onecopy.agents.event import Event
from onecopy.agents.grants.host import GrantedHost
from onecopy.agents.grants.http.client import Client
from onecopy.agents.grants.tools import Tools
from onecopy.agents.grants.tools.request_tool import RequestTool
from onecopy.agents.grants.tools.threads import Threads
from onecopy.agents.manifest import Manifest
from onecopy.agents.outcome import OK, Outcome
from onecopy.agents.records.records import Records
from onecopy.agents.replay import Replay
from onecopy.agents.secrets import Secrets
from onecopy.errors import InvalidArgument
from tests.agents.bridge import Bridge
from tests.agents.grants.http.servers import connected, serve

sdk.importable()

from onecopy_agent import plan, tools  # noqa: E402
from onecopy_agent.testing.llm import Llm, completion, tool_call  # noqa: E402

TOKEN = "token-of-the-tool-41cb"
MANIFEST = """\
[agent]
name = "x"
component = "x.wasm"
[[triggers.cli]]
kinds = ["ask"]
fields = { repo = "repo" }
subject = "{repo}"
[[grants.tools]]
name = "read"
description = "Read a file of this repository."
[grants.tools.parameters]
type = "object"
required = ["name"]
properties.name = { type = "string" }
properties.page = { type = ["integer", "null"], minimum = 1 }
properties.words = { type = "string" }
[grants.tools.request]
origin = "ORIGIN"
method = "GET"
path = "/repos/{event.repo}/files/{name}.md"
query = { page = "{page}", q = "{words}", repo = "{event.repo}", kind = "file" }
headers = { Authorization = "Bearer env:TOKEN" }
private = true
[[grants.tools]]
name = "comment"
description = "Comment on an issue of this repository."
[grants.tools.parameters]
type = "object"
required = ["number", "text"]
properties.number = { type = "integer" }
properties.text = { type = "string" }
properties.labels = { type = "array", items = { type = "string" } }
[grants.tools.request]
origin = "ORIGIN"
method = "POST"
path = "/repos/{event.repo}/issues/{number:int}"
body = { body = "{text}", labels = "{labels}", by = "a bot", repo = "{event.repo}" }
max_request = "16KiB"
private = true
"""
FIELDS = {"repo": "octo/cat"}
Seen = list[tuple[str, str, dict[str, str], str]]


def event(**fields: str) -> Event:
    return Event("1", "x", "cli", "ask", "octo/cat", fields or FIELDS)


def granted(manifest: Manifest, asked: Event, client: Client, secrets: Secrets) -> Tools:
    made = [RequestTool(each, each.request) for each in manifest.grants.tools if each.request]
    return Tools([each.bind(asked, client, secrets) for each in made], Threads())


class Modelled(Bridge):
    """Tools are the real ones, the model is the test's."""

    def __init__(self, answering: Host, model: Llm) -> None:
        super().__init__(answering)
        self._model = model

    def call(self, name: str, arguments: list[Any]) -> Any:
        if name == "llm.chat":
            return self._model.chat(arguments[0])
        return super().call(name, arguments)


async def acted(answering: Host, *calls: tuple[str, Any]) -> plan.Result:
    """Let a model call tools of the host in the plan-act loop of the SDK."""
    model = Llm()
    model.reply(*(completion(calls=[tool_call(*each)]) for each in calls), "done")

    def loop() -> plan.Result:
        return plan.act("Go.", tools.granted(), plan.Budget(steps=len(calls) + 1))

    return await Modelled(answering, model).run(loop)


async def echo(asked: web.Request, seen: Seen) -> web.Response:
    """Answer with what was asked, as a careless server does."""
    body = (await asked.read()).decode()
    seen.append((asked.method, asked.raw_path, dict(asked.headers), body))
    text = f"{asked.method} {asked.raw_path} {asked.headers.get('Authorization')} {body[:1000]}"
    return web.Response(text=text, status=404 if "missing" in asked.path else 200)


def planned(tmp_path: Path, *calls: tuple[str, Any], handler: Any = echo) -> tuple[Any, Any, Seen]:
    """What the loop came to, the record of the run, and what the server has seen."""
    seen: Seen = []

    async def whole() -> tuple[plan.Result, Any]:
        secrets = Secrets({"TOKEN": TOKEN})
        records = Records.open(
            tmp_path / "records.sqlite", redact=lambda text: secrets.redactor.text(text)
        )

        async def handled(asked: web.Request) -> web.Response:
            return await handler(asked, seen)

        async with serve(handled) as port, connected() as client:
            text = MANIFEST.replace("ORIGIN", f"http://127.0.0.1:{port}")
            manifest = Manifest.parse(text, ".")
            secrets.load(manifest.grants.secrets)
            recorder = records.begin(event(), seed=b"", time_ns=time.time_ns())
            found = granted(manifest, event(), client, secrets)
            result = await acted(GrantedHost({"tools": found}, recorder), *calls)
            recorder.end(Outcome(OK, ""))
        await records.flush()
        run = records.run(records.runs()[0].id)
        await records.close()
        return result, run

    return *asyncio.run(whole()), seen


def test_a_tool_is_a_request_of_the_manifest_filled_by_event_and_arguments(tmp_path: Path) -> None:
    result, _, seen = planned(
        tmp_path,
        ("read", {"name": "a b&c?d#e", "page": 2, "words": "x&repo=evil/repo"}),
        ("comment", {"number": 7, "text": 'a "quote"\n{event.repo}', "labels": ["{number}"]}),
        ("read", {"name": "missing", "page": None}),
    )
    assert [step.failed for step in result.steps] == [False] * 3
    (method, target, headers, _), (posted, path, other, body), (_, bare, _, _) = seen
    split = urlsplit(target)
    assert method == "GET"
    assert [unquote(each) for each in split.path.split("/")[4:]] == ["files", "a b&c?d#e.md"]
    assert parse_qsl(split.query) == [
        ("page", "2"), ("q", "x&repo=evil/repo"), ("repo", "octo/cat"), ("kind", "file")
    ]  # fmt: skip
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert (posted, path) == ("POST", "/repos/octo/cat/issues/7")
    assert json.loads(body) == {
        "body": 'a "quote"\n{event.repo}', "labels": ["{number}"], "by": "a bot", "repo": "octo/cat"
    }  # fmt: skip
    assert other["Content-Type"] == "application/json"
    assert "Authorization" not in other
    assert bare == "/repos/octo/cat/files/missing.md?repo=octo%2Fcat&kind=file"
    assert result.steps[0].result.startswith("HTTP 200\n\nGET /repos/")
    assert result.steps[2].result.startswith("HTTP 404\n\n")


def test_a_secret_reaches_neither_the_model_nor_the_record(tmp_path: Path) -> None:
    result, run, _ = planned(tmp_path, ("read", {"name": "a"}))
    assert "Bearer [secret]" in result.steps[0].result
    assert TOKEN not in repr(result)
    assert TOKEN not in repr(run)


def test_a_replay_gives_the_same_offline(tmp_path: Path) -> None:
    calls = [("read", {"name": "a"}), ("read", {"name": "../a"}), ("comment", {"text": "a"})]
    result, run, _ = planned(tmp_path, *calls)
    recorded = [(each.call, each.reply) for each in run.calls]
    again = asyncio.run(acted(Replay(recorded), *calls))
    assert again == result
    assert [step.failed for step in result.steps] == [False, True, True]


ATTACKS = [
    *("../../admin", "..", ".", "", "a/b", "/etc/passwd", "https://evil.test", "//evil.test/x"),
    *("%2e%2e", "%2e%2e%2fadmin", "%252e", "..;", "..;/x", "a\\..\\b", "\uff0e\uff0e\uff0fadmin"),
    *("a\r\nX-Evil: 1", "a\n", "a\0", "a\u202eb", "\ud800"),
]


@pytest.mark.parametrize("argument", ATTACKS)
def test_an_argument_is_one_plain_segment_or_nothing_is_sent(tmp_path: Path, argument: str) -> None:
    result, _, seen = planned(tmp_path, ("read", {"name": argument}))
    (step,) = result.steps
    if step.failed:
        assert seen == []
    else:  # dots that are part of a name, such as `..md`, are no way up
        (only,) = seen
        assert len(urlsplit(only[1]).path.split("/")) == 6


HUGE = [
    ("read", {"name": "a" * 9000}, "8192"),
    ("read", {"name": "a", "words": "b" * 9000}, "8192"),
    ("comment", {"number": 7, "text": "x" * (17 << 10)}, "max_request"),
    ("comment", {"number": 7, "text": "x" * (1 << 20)}, "1048576"),
    ("comment", {"number": 10**30, "text": "x"}, "arguments of comment"),
    ("comment", {"number": -1, "text": "x"}, "does not fit the path"),
]


@pytest.mark.parametrize(("name", "arguments", "says"), HUGE)
def test_what_is_too_large_or_no_number_is_not_sent(
    tmp_path: Path, name: str, arguments: dict[str, Any], says: str
) -> None:
    result, _, seen = planned(tmp_path, (name, arguments))
    assert result.steps[0].failed
    assert says in result.steps[0].result
    assert seen == []


@pytest.mark.parametrize(
    "arguments",
    [{}, {"name": 1}, {"name": ["a"]}, {"name": "a", "page": 0}, {"name": "a", "page": "1"},
     {"name": "a", "headers": {"X": "y"}}, {"name": "a", "origin": "https://evil.test"},
     {"name": "a", "event.repo": "evil/x"}, {"name": "a", "method": "DELETE"}, "[]", "no JSON"],
)  # fmt: skip
def test_arguments_that_the_schema_has_not_are_refused_before_anything_is_sent(
    tmp_path: Path, arguments: Any
) -> None:
    result, _, seen = planned(tmp_path, ("read", arguments))
    assert result.steps[0].failed
    assert seen == []


async def refused(text: str, asked: Event, name: str, arguments: str, client: Client) -> Refusal:
    """Call a tool as an escaped guest does, which checks nothing."""
    found = granted(Manifest.parse(text, "."), asked, client, Secrets({"TOKEN": TOKEN}))
    with pytest.raises(Refused) as caught:
        await found.call("call", [name, arguments])
    return caught.value.refusal


def told(
    name: str,
    arguments: str,
    *,
    asked: Event | None = None,
    change: Callable[[str], str] = str,
    origin: str = "http://127.0.0.1:9",
) -> Refusal:
    async def whole() -> Refusal:
        async with connected() as client:
            text = change(MANIFEST.replace("ORIGIN", origin))
            return await refused(text, asked or event(), name, arguments, client)

    return asyncio.run(whole())


def test_the_schema_is_checked_by_the_host_too() -> None:
    assert told("read", '{"name": 1}').code == "invalid"
    assert told("read", '{"name": "a", "x": 1}').code == "invalid"
    assert told("read", '{"name": "../x"}').code == "invalid"


def test_an_event_that_lacks_a_field_reaches_nothing() -> None:
    refusal = told("read", '{"name": "a"}', asked=event(other="x"))
    assert refusal.code == "not-granted"
    assert "'repo'" in refusal.message


def test_addresses_are_checked_as_those_of_other_requests_are() -> None:
    public = "https://api.test"
    refusal = told(
        "read", '{"name": "a"}', origin=public, change=lambda t: t.replace("private = true", "")
    )
    assert refusal.code == "not-granted"
    assert "loopback or private" in refusal.message


def test_a_secret_with_a_line_break_is_no_header() -> None:
    async def whole() -> Refusal:
        async with connected() as client:
            manifest = Manifest.parse(MANIFEST.replace("ORIGIN", "http://127.0.0.1:9"), ".")
            secrets = Secrets({"TOKEN": "one-token\nX-Evil: 1"})
            found = granted(manifest, event(), client, secrets)
            with pytest.raises(Refused) as caught:
                await found.call("call", ["read", '{"name": "a"}'])
            return caught.value.refusal

    assert asyncio.run(whole()).code == "unavailable"


def test_a_redirect_is_an_answer_and_is_not_followed(tmp_path: Path) -> None:
    async def elsewhere(asked: web.Request, seen: Seen) -> web.Response:
        await echo(asked, seen)
        return web.Response(status=302, headers={"Location": "/repos/octo/cat/files/b.md"})

    result, _, seen = planned(tmp_path, ("read", {"name": "a"}), handler=elsewhere)
    assert result.steps[0].result.startswith("HTTP 302")
    assert len(seen) == 1


def test_a_trial_answers_it_from_its_file() -> None:
    url = "https://api.test/repos/octo/cat/files/a.md?repo=octo%2Fcat&kind=file"

    async def whole() -> Any:
        text = MANIFEST.replace("ORIGIN", "https://api.test")
        client = Canned({f"GET {url}": Page(json={"a": 1})}, [])
        found = granted(Manifest.parse(text, "."), event(), client, Placeholders())
        return await found.call("call", ["read", '{"name": "a"}'])

    assert asyncio.run(whole()) == 'HTTP 200\n\n{"a":1}'


def test_parameters_that_are_no_json_schema_are_refused_at_the_start() -> None:
    text = MANIFEST.replace("ORIGIN", "https://a.b").replace("minimum = 1", 'minimum = "1"')
    grant = Manifest.parse(text, ".").grants.tools[0]
    assert grant.request is not None
    with pytest.raises(InvalidArgument, match=r"'read' of agent.toml: this is no JSON Schema"):
        RequestTool(grant, grant.request)


def _tool() -> tuple[RequestTool, dict[str, str]]:
    text = MANIFEST.replace("ORIGIN", "https://api.test")
    grant = Manifest.parse(text, ".").grants.tools[0]
    assert grant.request is not None
    return RequestTool(grant, grant.request), FIELDS


@settings(max_examples=300)
@given(st.text() | st.sampled_from(ATTACKS), st.text())
def test_whatever_the_arguments_are_the_rest_of_the_url_stays(name: str, words: str) -> None:
    tool, fields = _TOOL
    try:
        url = tool._written(fields, {"name": name, "words": words})["url"]
    except ValueError:
        return
    split = urlsplit(url)
    assert (split.scheme, split.netloc, split.fragment) == ("https", "api.test", "")
    *before, last = split.path.split("/")
    assert before == ["", "repos", "octo", "cat", "files"]
    assert unquote(last) == f"{name}.md"
    assert parse_qsl(split.query, keep_blank_values=True, encoding="utf-8", errors="strict") == [
        ("q", words), ("repo", "octo/cat"), ("kind", "file")
    ]  # fmt: skip


_TOOL = _tool()
