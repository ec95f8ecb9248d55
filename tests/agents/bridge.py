"""Agents in Python as they are written, without WebAssembly, on the hosts of a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from onecopy.agents import sdk
from onecopy.agents.calls import Call
from onecopy.agents.calls import Host as Answering
from onecopy.agents.canned import Placeholders
from onecopy.agents.grants.host import GrantedHost
from onecopy.agents.manifest import Manifest
from onecopy.agents.outcome import ERROR, OK, Outcome
from onecopy.agents.server.agent import ServedAgent, encoded
from onecopy.agents.server.resources import Resources
from onecopy.agents.trial import Trial
from onecopy.cli.agent_run import only_kind

sdk.importable()

from onecopy_agent import entry, errors, host  # noqa: E402


class Bridge:
    """What the SDK calls in a thread, answered in the event loop that it is made in."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._loop = asyncio.get_running_loop()

    def call(self, name: str, arguments: list[Any]) -> Any:
        answer = self._answering.answer(Call(name, arguments))
        reply = asyncio.run_coroutine_threadsafe(answer, self._loop).result()
        if reply.error is not None:
            raise errors.of(reply.error.code, reply.error.message)
        return reply.value

    async def run(self, work: Callable[[], Any]) -> Any:
        """Carry out what uses the SDK."""

        def within() -> Any:
            before = host.installed.set(self)
            try:
                return work()
            finally:
                host.installed.reset(before)

        return await asyncio.to_thread(within)


def complaint(folder: Path, event: str, handle: Callable[[Any], Any], state: Path) -> str:
    """Try an agent with one of its events as `agent test` does; return what is not as expected."""
    manifest, trial = Manifest.load(folder), Trial.load(folder / "events" / event)

    async def whole() -> Outcome:
        resources = Resources(state, secrets=Placeholders(), client=trial.client())
        try:
            bound = manifest.bind_cli(trial.kind or only_kind(manifest), trial.payload)
            made = bound.event("trial", received=time.time())
            made = msgspec.structs.replace(made, settings=manifest.settings)
            recorder = resources.records.begin(made, seed=b"", time_ns=0)
            served = ServedAgent(manifest, resources)
            bridge = Bridge(GrantedHost(served.capabilities(made, recorder), recorder))
            try:
                text = await bridge.run(lambda: entry.run(handle, encoded(made)))
                outcome = Outcome(OK, text)
            except entry.Ended as ended:
                outcome = Outcome(ERROR, str(ended))
            recorder.end(outcome)
            return outcome
        finally:
            await resources.close()

    return trial.complaint(asyncio.run(whole()))
