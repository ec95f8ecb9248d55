"""The server of agents: a queue, the agents, and two sites."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

from onecopy.agents.manifest import Manifest
from onecopy.agents.queue.queue import Queue
from onecopy.agents.server.agent import ServedAgent
from onecopy.agents.server.resources import Resources, default_folder
from onecopy.agents.server.service import Service
from onecopy.agents.server.site import Site
from onecopy.agents.server.status import Status
from onecopy.agents.server.webhooks import Webhooks
from onecopy.errors import InvalidManifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from onecopy.agents.secrets import Secrets
    from onecopy.agents.server.site import Address


_LOOKING: Final = 64
"""Connections to the status page at once."""


class Server:
    """Agents that wait for events; one process for a folder of state.

        server = Server([Path("review")], listen=Address("127.0.0.1", 8080), status=...)
        await server.run()              # until it is cancelled

    Args:
        folders: each with an `agent.toml`.
        listen: where webhooks arrive.
        status: where the status page and the metrics are; whoever reaches it sees all events.
        processes: workers of each agent.
        state: the folder of events and records.
        store: whose entries and models agents may use.
        secrets: where secrets are had; the environment if not given.
        status_names: host names, besides localhost, under which the status page may be reached.
        clock: seconds since 1970, which may be set back and forward: of events, records, schedules.

    Raises:
        InvalidManifest: of a folder, or two agents have one name.
    """

    def __init__(
        self,
        folders: Iterable[Path],
        *,
        listen: Address,
        status: Address,
        processes: int = 1,
        state: Path | None = None,
        store: Any = None,
        secrets: Secrets | None = None,
        status_names: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secrets = secrets
        self._manifests = [Manifest.load(folder) for folder in folders]
        names = [each.name for each in self._manifests]
        for name in names:
            if names.count(name) > 1:
                raise InvalidManifest(f"two agents have the name {name}; give one another name")
        self._listen, self._status = listen, status
        self._processes = processes
        self._status_names = tuple(status_names)
        self._state = state or default_folder()
        self._store = store
        self._clock = clock
        self.public_url = ""
        """Where webhooks arrive, once it runs."""
        self.status_url = ""
        """Where the status page is, once it runs."""

        self.service: Service
        """What takes and runs events, once it runs."""

    @property
    def idle(self) -> list[str]:
        """Agents that nothing calls here: they have neither webhooks nor a schedule."""
        each = self._manifests
        return [m.name for m in each if not m.triggers.webhook and not m.triggers.schedule]

    @property
    def paths(self) -> list[str]:
        """The paths of its webhooks."""
        return [each.path for m in self._manifests for each in m.triggers.webhook]

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until cancelled; `ready` is called once events are taken.

        Raises:
            QueueUnavailable: another server has the folder, or it cannot be written.
            InvalidArgument: a secret is missing.
            BuildFailed, InvalidModule: an agent's code.
            InvalidArgument: an address cannot be listened on.
            OSError: the folder cannot be made.
        """
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with contextlib.AsyncExitStack() as stack:
            queue = Queue.open(self._state / "events.sqlite", clock=self._clock)
            stack.push_async_callback(queue.close)
            resources = Resources(
                self._state, store=self._store, secrets=self._secrets, clock=self._clock
            )
            stack.push_async_callback(resources.close)
            resources.secrets.load(each for m in self._manifests for each in m.secrets)
            hooks = Webhooks(self._manifests, queue, resources.secrets)
            agents = [
                await stack.enter_async_context(
                    ServedAgent(each, resources, processes=self._processes)
                )
                for each in self._manifests
            ]
            self.service = Service(agents, queue, resources, self._clock)
            pages = Status(self.service, self._status_names).application()
            public = await stack.enter_async_context(Site(hooks.application(), self._listen))
            private = await stack.enter_async_context(
                # Its pages are large, and wait in memory until they are read.
                Site(pages, self._status, connections=_LOOKING)
            )
            self.public_url, self.status_url = public.url, private.url
            ready()
            await self.service.run()
