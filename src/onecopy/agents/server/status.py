"""The private side of a server: pages that show what agents do, and metrics."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from onecopy.agents.server.metrics import Metrics
from onecopy.agents.server.rendering import PAGES, Pages, most_of
from onecopy.errors import QueueUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from onecopy.agents.server.service import Service

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SHOWN: Final = 50
_LINES: Final = 300
"""Of each list of a run's page, the newest."""
_LOOK: Final = 0.25
"""Seconds between looks at a run that somebody watches."""
_WATCHING: Final = 50
"""Of these at once: each looks into the records again and again."""
_MAKING: Final = 2
"""Pages of runs that are made at once: a whole record is in memory meanwhile."""
_AHEAD: Final = 50
"""Items that one has in memory until its reader has read them."""
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Status:
    """Shows a service to whoever reaches it: it asks for no password, and changes next to nothing.

    Pages of other sites cannot read it or act on it: it answers to numeric addresses, `localhost`
    and the names that it is given (a name could be made to point here, DNS rebinding), and changes
    something only for its own pages.

    Args:
        service: what is shown.
        names: host names under which it may be reached.
    """

    def __init__(self, service: Service, names: tuple[str, ...] = ()) -> None:
        self._service = service
        self._names = {"localhost", *names}
        self._pages = Pages()
        self._metrics = Metrics(service)
        self._watching = 0
        self._making = asyncio.Semaphore(_MAKING)

    def application(self) -> web.Application:
        """Return what serves the pages."""
        app = web.Application(middlewares=[self._guarded])
        app.add_routes(
            [
                web.get("/", self._overview),
                web.get("/runs", self._runs),
                web.get("/runs/{run}", self._run),
                web.get("/runs/{run}/live", self._live),
                web.get("/events", self._events),
                web.get("/events/{event}", self._event),
                web.post("/events/{event}/revive", self._revive),
                web.get("/metrics", self._metrics.answer),
                web.static("/static", PAGES / "static"),
            ]
        )
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._is_ours(request.url.host or ""):
            raise web.HTTPMisdirectedRequest(
                text=f"{request.host} is no name of this page; see --status-name"
            )
        if request.method == "POST" and request.headers.get("Origin") != str(request.url.origin()):
            raise web.HTTPForbidden(text="only a page of this server may ask for this")
        try:
            response = await handler(request)
        except QueueUnavailable as error:
            response = web.Response(status=503, text=str(error))
        except web.HTTPException as error:
            error.headers.update(_HEADERS)
            raise
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def _is_ours(self, host: str) -> bool:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return host in self._names
        return True

    async def _overview(self, _: web.Request) -> web.Response:
        agents = [await self._agent(name) for name in self._service.agents]
        runs = await asyncio.to_thread(self._service.resources.records.runs, limit=20)
        return self._page("overview.html", agents=agents, runs=runs)

    async def _agent(self, name: str) -> dict[str, Any]:
        agent = self._service.agents[name]
        llm = agent.manifest.grants.llm
        return {
            "name": name,
            "description": agent.manifest.agent.description,
            "running": agent.running,
            "concurrent": agent.manifest.limits.concurrent,
            "counts": await self._service.queue.counts(name),
            "today": self._service.resources.records.today(name),
            "usd_per_day": llm.usd_per_day if llm else None,
        }

    async def _runs(self, request: web.Request) -> web.Response:
        wanted = _wanted(request, "agent", "status", "before")
        runs = await asyncio.to_thread(
            self._service.resources.records.runs, limit=_SHOWN + 1, **wanted
        )
        return self._page(
            "runs.html",
            runs=runs[:_SHOWN],
            more=runs[_SHOWN - 1].id if len(runs) > _SHOWN else None,
            agent=wanted.get("agent", ""),
            wanted=wanted.get("status", ""),
        )

    async def _run(self, request: web.Request) -> web.Response:
        name = request.match_info["run"]
        async with self._making:
            # Not in the loop: the largest takes a second, and webhooks wait for seconds only.
            page = await asyncio.to_thread(self._whole_run, name)
        if page is None:
            raise web.HTTPNotFound(text=f"there is no run {name}")
        return page

    def _whole_run(self, name: str) -> web.Response | None:
        run = self._service.resources.records.run(name)
        if run is None:
            return None
        longest = max((step.seconds for step in run.steps), default=0.0) or 1.0
        last = run.items[-1].seq if run.items else 0
        most = most_of(len(run.items[-_LINES:]) + 2 * len(run.calls[-_LINES:]))
        return self._page("run.html", run=run, longest=longest, last=last, shown=_LINES, most=most)

    async def _live(self, request: web.Request) -> web.StreamResponse:
        """Send what happens in a run, as it happens (server-sent events)."""
        name, after = request.match_info["run"], _number(request.query.get("after"))
        records = self._service.resources.records
        if await asyncio.to_thread(records.tail, name, after, 1) is None:
            raise web.HTTPNotFound(text=f"there is no run {name}")
        if self._watching >= _WATCHING:
            full = web.HTTPServiceUnavailable(
                text=f"{_WATCHING} others look at runs that go on; reload the page to see more"
            )
            full.force_close()
            raise full
        self._watching += 1
        try:
            return await self._watched(request, name, after)
        finally:
            self._watching -= 1

    async def _watched(self, request: web.Request, name: str, after: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        # The browser asks again, and is told so; or it has gone.
        with contextlib.suppress(QueueUnavailable, ConnectionError):
            await self._follow(request, response, name, after)
        return response

    async def _follow(
        self, request: web.Request, response: web.StreamResponse, name: str, after: int
    ) -> None:
        records = self._service.resources.records
        while tail := await asyncio.to_thread(records.tail, name, after, _AHEAD):
            for item in tail.items:
                after = item.seq
                html = self._pages.item(item, tail.started)
                await response.write(_sent("item", html))
            if tail.status != "running" and not tail.items:
                break
            if request.transport is None:
                return  # nothing was sent by which that would be seen
            await asyncio.sleep(0 if len(tail.items) == _AHEAD else _LOOK)
        await response.write(_sent("end", ""))

    async def _events(self, request: web.Request) -> web.Response:
        wanted = _wanted(request, "agent", "state", "before")
        events = await self._service.queue.list(limit=_SHOWN + 1, **wanted)
        return self._page(
            "events.html",
            events=events[:_SHOWN],
            more=events[_SHOWN - 1].id if len(events) > _SHOWN else None,
            agent=wanted.get("agent", ""),
            wanted=wanted.get("state", ""),
        )

    async def _event(self, request: web.Request) -> web.Response:
        name = request.match_info["event"]
        event = await self._service.queue.get(name)
        if event is None:
            raise web.HTTPNotFound(text=f"there is no event {name}")
        runs = await asyncio.to_thread(self._service.resources.records.runs, event=name)
        return self._page("event.html", event=event, runs=runs)

    async def _revive(self, request: web.Request) -> web.Response:
        name = request.match_info["event"]
        if not await self._service.queue.revive(name):
            raise web.HTTPConflict(text=f"the event {name} is not dead")
        raise web.HTTPSeeOther(f"/events/{name}")

    def _page(self, template: str, **values: Any) -> web.Response:
        # As bytes at once: it may wait for its reader.
        body = self._pages.render(template, **values).encode()
        return web.Response(body=body, content_type="text/html", charset="utf-8")


def _wanted(request: web.Request, *names: str) -> dict[str, str]:
    return {name: request.query[name] for name in names if request.query.get(name)}


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else 0


def _sent(event: str, data: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return f"event: {event}\n{lines}\n".encode()
