"""Hosts of agents for tests."""

from __future__ import annotations

import asyncio

from onecopy.agents.calls import Call, Reply


class Scripted:
    """Answers each call with `value`, and keeps the calls."""

    def __init__(self, value: object = "answer") -> None:
        self.value = value
        self.calls: list[Call] = []

    async def answer(self, call: Call) -> Reply:
        self.calls.append(call)
        return Reply() if call.name.startswith("log.") else Reply(self.value)


class Silent:
    """Lets each call wait for ever; `asked` is set when there is one."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.cancelled = 0

    async def answer(self, call: Call) -> Reply:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        raise AssertionError(call)
