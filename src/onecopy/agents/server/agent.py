"""One agent of a server: its manifest, its workers, and what its runs may use."""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from onecopy.agents.grants.entries import Entries
from onecopy.agents.grants.host import GrantedHost
from onecopy.agents.grants.http.http import Http
from onecopy.agents.grants.kv import Kv
from onecopy.agents.grants.llm.budget import Spending
from onecopy.agents.grants.llm.llm import Llm
from onecopy.agents.grants.memory.default_embedder import ensure
from onecopy.agents.grants.tools import Tools
from onecopy.agents.grants.tools.request_tool import RequestTool
from onecopy.agents.outcome import LOST, Outcome
from onecopy.agents.worker.pool import Workers
from onecopy.agents.worker.start import Start
from onecopy.errors import InvalidArgument, InvalidModule

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from onecopy.agents.calls import Call, Capability, Reply
    from onecopy.agents.event import Event
    from onecopy.agents.grants.llm.budget import Usage
    from onecopy.agents.manifest import Manifest
    from onecopy.agents.records.recorder import Recorder
    from onecopy.agents.server.resources import Resources

    Watch = Callable[[Call, Reply, float], None]


class ServedAgent:
    """An agent that a server runs.

        async with ServedAgent(Manifest.load("review"), resources) as agent:
            outcome = await agent.run(event)

    Args:
        manifest: the agent's.
        resources: of the server.
        processes: its workers.
        watch: is told of each call of its runs, for a person who looks on.

    Raises:
        InvalidArgument: a secret that the manifest names is not there, or no store was named.
    """

    def __init__(
        self,
        manifest: Manifest,
        resources: Resources,
        *,
        processes: int = 1,
        watch: Watch | None = None,
    ) -> None:
        self.manifest = manifest
        self._watch = watch
        self._resources = resources
        self._processes = processes
        self.workers: Workers | None = None
        self._digest = ""
        resources.secrets.load(manifest.grants.secrets)
        if manifest.grants.memory or manifest.grants.entries:
            resources.require_store()
        self._spending = Spending(resources.records.today(manifest.name).usd)
        self._model = resources.chat_model(manifest.grants.llm)
        self._tools = [
            RequestTool(each, each.request) if each.request else resources.tools.get(each.name)
            for each in manifest.grants.tools
        ]

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.manifest.name

    @property
    def running(self) -> int:
        """Runs at present."""
        return self.workers.running if self.workers else 0

    async def __aenter__(self) -> ServedAgent:
        """Build the component if need be, and start the workers.

        Raises:
            BuildFailed: its source cannot be built.
            InvalidModule: it is no agent.
            InvalidArgument: its memory needs an embedder, which the store has not.
        """
        if self.manifest.grants.memory:
            await asyncio.to_thread(ensure, self._resources.require_store())
        component = await asyncio.to_thread(component_of, self.manifest)
        digest = hashlib.sha256(await asyncio.to_thread(component.read_bytes))
        self._digest = digest.hexdigest()
        workers = Workers(
            component, self.manifest.limits, name=self.name, processes=self._processes
        )
        try:
            await workers.start()
        except InvalidModule as error:
            await workers.close()
            raise InvalidModule(f"{self.manifest.code}: {error}") from None
        except BaseException:
            await workers.close()
            raise
        self.workers = workers
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the workers, and the runs in them."""
        if self.workers is not None:
            await self.workers.close()

    async def run(self, event: Event) -> Outcome:
        """Run it with an event, and record that; what fails is an outcome."""
        if self.workers is None:
            raise InvalidArgument(f"enter the agent {self.name} by `async with` before it runs")
        event = msgspec.structs.replace(event, settings=self.manifest.settings)
        start = Start.new()
        recorder = self._resources.records.begin(
            event, seed=start.seed, time_ns=start.time_ns, component=self._digest
        )
        witness = _Watched(recorder, self._watch) if self._watch else recorder
        host = GrantedHost(self.capabilities(event, recorder), witness)
        ended = Outcome(LOST, "the server shut down")
        try:
            ended = await self.workers.run(encoded(event), host, start)
        finally:
            recorder.end(ended)
        return ended

    def capabilities(self, event: Event, recorder: Recorder) -> dict[str, Capability]:
        """Return what a run with an event may use, by interface."""
        grants, resources = self.manifest.grants, self._resources
        found: dict[str, Capability] = {}
        if grants.http:
            found["http"] = Http(grants.http, event, resources.client, resources.secrets)
        if grants.llm and self._model:
            report = partial(_report, recorder)
            found["llm"] = Llm(grants.llm, self._model, self._spending, report)
        if grants.kv:
            found["kv"] = Kv(grants.kv, resources.kv, self.name, event.subject)
        if grants.memory:
            found["memory"] = resources.memory(grants.memory, self.name)
        if self._tools:
            bound = [
                each.bind(event, resources.client, resources.secrets)
                if isinstance(each, RequestTool)
                else each
                for each in self._tools
            ]
            found["tools"] = Tools(bound, resources.threads)
        if grants.entries:
            found["entries"] = Entries(grants.entries, resources.require_store())
        return found


class _Watched:
    """A witness beside the record."""

    def __init__(self, recorder: Recorder, watch: Watch) -> None:
        self._recorder = recorder
        self._watch = watch

    def call(self, call: Call, reply: Reply, started: float, seconds: float) -> None:
        self._recorder.call(call, reply, started, seconds)
        self._watch(call, reply, seconds)


def encoded(event: Event) -> str:
    """Return an event as `handle` gets it; a replay has the same letters."""
    return msgspec.json.encode(event).decode()


def component_of(manifest: Manifest) -> Path:
    """Return the file of an agent's component, which is built if the manifest names a source."""
    from onecopy.agents.sdk.build import build

    return manifest.code if manifest.agent.component else build(manifest.code)


def _report(recorder: Recorder, usage: Usage) -> None:
    recorder.usage(
        usage.model,
        usage.input_tokens,
        usage.output_tokens,
        usage.usd,
        estimated=usage.estimated,
    )
