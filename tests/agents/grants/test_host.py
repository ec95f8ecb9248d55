"""Every call of a guest is answered and witnessed, whatever its capability does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from onecopy.agents.calls import Call, Refusal, Refused, Reply
from onecopy.agents.grants.host import GrantedHost


class Notes:
    """A witness that keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Call, Reply]] = []
        self.lines: list[tuple[str, str]] = []
        self.steps: list[str] = []

    def call(self, call: Call, reply: Reply, started: float, seconds: float) -> None:
        assert started > 1e9
        assert seconds >= 0
        self.calls.append((call, reply))

    def log(self, level: str, text: str) -> None:
        self.lines.append((level, text))

    def step(self, name: str) -> None:
        self.steps.append(name)


class Kv:
    async def call(self, function: str, arguments: list[Any]) -> Any:
        match function:
            case "get":
                return f"{arguments[1]}!"
            case "set":
                raise Refused("too-large", "values end at 1 MiB")
            case "keys":
                await asyncio.sleep(3600)
        raise RuntimeError("a secret path /etc/passwd")


def ask(*calls: Call) -> tuple[list[Reply], Notes]:
    notes = Notes()
    host = GrantedHost({"kv": Kv()}, notes, "agent.toml")

    async def answers() -> list[Reply]:
        return [await host.answer(call) for call in calls]

    return asyncio.run(answers()), notes


def test_a_granted_call_is_answered_by_its_capability() -> None:
    call = Call("kv.get", ["agent", "greeting"])
    replies, notes = ask(call)
    assert replies == [Reply("greeting!")]
    assert notes.calls == [(call, Reply("greeting!"))]


@pytest.mark.parametrize(
    ("name", "table"), [("llm.chat", "[grants.llm]"), ("http.send", "[[grants.http]]")]
)
def test_what_is_not_granted_is_refused_with_the_line_that_grants_it(name: str, table: str) -> None:
    replies, notes = ask(Call(name, ["{}"]))
    (reply,) = replies
    assert reply.error is not None
    assert reply.error.code == "not-granted"
    assert f"add {table} to agent.toml" in reply.error.message
    assert len(notes.calls) == 1


def test_a_refusal_of_a_capability_reaches_the_guest_as_it_is() -> None:
    replies, _ = ask(Call("kv.set", ["agent", "a", "b"]))
    assert replies == [Reply(error=Refusal("too-large", "values end at 1 MiB"))]


def test_a_fault_of_the_host_is_an_answer_that_tells_nothing_of_it() -> None:
    replies, notes = ask(Call("kv.delete", ["agent", "a"]), Call("kv.get", ["agent", "a"]))
    assert replies[0].error is not None
    assert replies[0].error.code == "failed"
    assert "passwd" not in replies[0].error.message
    assert replies[1] == Reply("a!")
    assert len(notes.calls) == 2


def test_lines_and_steps_are_noted_and_need_no_grant() -> None:
    replies, notes = ask(Call("log.write", ["info", "hello"]), Call("log.step", ["reading"]))
    assert replies == [Reply(), Reply()]
    assert notes.lines == [("info", "hello")]
    assert notes.steps == ["reading"]
    assert notes.calls == []


def test_a_call_that_is_waited_for_can_be_cancelled() -> None:
    async def cancelled() -> None:
        host = GrantedHost({"kv": Kv()}, Notes(), "agent.toml")
        task = asyncio.create_task(host.answer(Call("kv.keys", ["agent", ""])))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
