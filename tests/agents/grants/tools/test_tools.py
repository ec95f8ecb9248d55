"""Tools of one agent."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from onecopy.agents.calls import BUDGET, FAILED, INVALID, NOT_GRANTED, TIMEOUT, TOO_LARGE, Refused
from onecopy.agents.grants.tools import Tool, Tools
from onecopy.agents.grants.tools.threads import Threads
from tests.agents.grants.refusals import refusal


def count(text: str) -> dict[str, int]:
    """Count words."""
    return {"words": len(text.split()), "threads": int(threading.current_thread().daemon)}


async def later(text: str) -> str:
    await asyncio.sleep(0)
    return text.upper()


def boom(secret: str = "x") -> None:
    raise KeyError("no such thing")


def refuses() -> None:
    raise Refused(BUDGET, "enough")


def huge() -> str:
    return "x" * ((1 << 20) + 1)


def odd() -> Any:
    return threading.Lock()


TOOLS = Tools([Tool.of(each) for each in (count, later, boom, refuses, huge, odd)], Threads())


def call(name: str, arguments: str) -> Any:
    return asyncio.run(TOOLS.call("call", [name, arguments]))


def refused(name: str, arguments: str = "{}") -> tuple[str, str]:
    return asyncio.run(refusal(TOOLS, "call", name, arguments))


def test_a_tool_runs_in_a_thread_and_its_result_is_json_or_text() -> None:
    assert json.loads(call("count", '{"text": "one two"}')) == {"words": 2, "threads": 1}
    assert call("later", '{"text": "one"}') == "ONE"


def test_they_are_described_as_the_tools_of_a_chat_completion() -> None:
    described = json.loads(asyncio.run(TOOLS.call("describe", [])))
    assert [each["function"]["name"] for each in described][:2] == ["count", "later"]
    assert {each["type"] for each in described} == {"function"}


def test_a_tool_that_is_not_granted_is_refused() -> None:
    code, message = refused("eval")
    assert code == NOT_GRANTED
    assert '[[grants.tools]] name = "eval"' in message


@pytest.mark.parametrize(
    "arguments",
    ["", "{", "[]", "null", "{}", '{"text": 1}', '{"text": "a", "more": 1}', "[" * 100_000],
)
def test_arguments_that_do_not_fit_the_schema_are_refused(arguments: str) -> None:
    assert refused("count", arguments)[0] == INVALID


def test_what_is_too_large_is_refused() -> None:
    assert refused("count", json.dumps({"text": "x" * (1 << 20)}))[0] == TOO_LARGE
    assert refused("huge")[0] == TOO_LARGE


def test_whatever_a_tool_raises_is_a_refusal() -> None:
    code, message = refused("boom")
    assert code == FAILED
    assert "no such thing" in message
    assert refused("refuses") == (BUDGET, "enough")
    assert refused("odd")[0] == FAILED


def test_a_tool_that_takes_too_long_is_refused() -> None:
    gate = threading.Event()

    def stuck() -> None:
        gate.wait()

    async def forever() -> None:
        await asyncio.Event().wait()

    slow = Tools([Tool.of(each, seconds=0.01) for each in (stuck, forever)], Threads())
    try:
        assert asyncio.run(refusal(slow, "call", "stuck", "{}"))[0] == TIMEOUT
        assert asyncio.run(refusal(slow, "call", "forever", "{}"))[0] == TIMEOUT
    finally:
        gate.set()
