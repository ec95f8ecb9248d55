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

    def call(self, call: Call, reply: Reply, started: float, seconds: float) -> None:
        assert started > 1e9
        assert seconds >= 0
        self.calls.append((call, reply))


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
    host = GrantedHost({"kv": Kv()}, notes)

    async def answers() -> list[Reply]:
        return [await host.answer(call) for call in calls]

    return asyncio.run(answers()), notes


def test_a_granted_call_is_answered_by_its_capability_with_the_time_that_the_guest_sees() -> None:
    call = Call("kv.get", ["agent", "greeting"])
    (reply,), notes = ask(call)
    assert (reply.value, reply.error) == ("greeting!", None)
    assert reply.time_ns > 0
    assert notes.calls == [(call, reply)]


@pytest.mark.parametrize(
    ("name", "table"), [("llm.chat", "[grants.llm]"), ("http.send", "[[grants.http]]")]
)
def test_what_is_not_granted_is_refused_with_the_line_that_grants_it(name: str, table: str) -> None:
    (reply,), notes = ask(Call(name, ["{}"]))
    assert reply.error is not None
    assert reply.error.code == "not-granted"
    assert f"add to agent.toml: {table}" in reply.error.message
    assert len(notes.calls) == 1


def test_a_refusal_of_a_capability_reaches_the_guest_as_it_is() -> None:
    (reply,), _ = ask(Call("kv.set", ["agent", "a", "b"]))
    assert reply.error == Refusal("too-large", "values end at 1 MiB")


def test_a_fault_of_the_host_is_an_answer_that_tells_nothing_of_it() -> None:
    (first, second), notes = ask(Call("kv.delete", ["agent", "a"]), Call("kv.get", ["agent", "a"]))
    assert first.error is not None
    assert first.error.code == "failed"
    assert "passwd" not in first.error.message
    assert second.value == "a!"
    assert len(notes.calls) == 2


def test_lines_and_steps_are_witnessed_and_need_no_grant() -> None:
    lines = [Call("log.write", ["info", "hello"]), Call("log.step", ["reading"])]
    replies, notes = ask(*lines)
    assert [(each.value, each.error) for each in replies] == [(None, None)] * 2
    assert [call for call, _ in notes.calls] == lines


def test_a_call_that_is_waited_for_can_be_cancelled() -> None:
    async def cancelled() -> None:
        host = GrantedHost({"kv": Kv()}, Notes())
        task = asyncio.create_task(host.answer(Call("kv.keys", ["agent", ""])))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
