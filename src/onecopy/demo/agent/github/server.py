"""The server: all of the API over a state, with GitHub's own errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from aiohttp import web

from onecopy.demo.agent.github.answers import error
from onecopy.demo.agent.github.body import Invalid
from onecopy.demo.agent.github.comments import Comments
from onecopy.demo.agent.github.labels import Labels
from onecopy.demo.agent.github.line_comments import LineComments
from onecopy.demo.agent.github.pull_requests import PullRequests
from onecopy.demo.agent.github.repositories import Repositories
from onecopy.demo.agent.github.resource import Api

if TYPE_CHECKING:
    from onecopy.demo.agent.github.fault import Fault
    from onecopy.demo.agent.github.shapes import Shapes
    from onecopy.demo.agent.github.state import GitHubState

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LIMIT: Final = 5000
_BODY_BYTES: Final = 4 << 20


class GitHubServer:
    """Serves a state until the block is left.

        async with GitHubServer(state, token="secret") as server:
            server.url              # that of the API

    Args:
        state: may be looked at, and changed, meanwhile.
        token: that requests have to bring.
        host: where it listens.
        port: any free one if 0.
    """

    def __init__(
        self, state: GitHubState, *, token: str, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.state = state
        self.requests: list[str] = []
        """Method and path of each request, in their order."""
        self.faults: list[Fault] = []
        self._api = Api(state)
        self._token = token
        self._where = host, port

    @property
    def url(self) -> str:
        """The address of the API; empty before it listens."""
        return self._api.url

    @property
    def shapes(self) -> Shapes:
        """Makes the values that it answers."""
        return self._api.shapes

    async def __aenter__(self) -> GitHubServer:
        """Listen."""
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._where).start()
        host, port = self._runner.addresses[0][:2]
        self._api.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Listen no more."""
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._checked], client_max_size=_BODY_BYTES)
        repositories = Repositories(self._api)
        kinds = (PullRequests, Comments, LineComments, Labels)
        parts = (repositories, *(each(self._api) for each in kinds))
        app.router.add_get("/user", repositories.user)
        # GitHub's own links name a repository by its number.
        for repo in ("/repos/{owner}/{name}", "/repositories/1"):
            for part in parts:
                app.add_routes(part.routes(repo))
        return app

    @web.middleware
    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        fault = self._fault(request)
        if fault is not None and not fault.done:
            return error(fault.status, "Server Error", fault.headers)
        response = await self._answered(request, handler)
        if fault is not None:
            return error(fault.status, "Server Error", fault.headers)
        response.headers["X-RateLimit-Limit"] = str(_LIMIT)
        response.headers["X-RateLimit-Remaining"] = str(max(0, _LIMIT - len(self.requests)))
        return response

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._knows(request.headers.get("Authorization", "")):
            return error(401, "Bad credentials")
        where = request.match_info
        if "owner" in where and f"{where['owner']}/{where['name']}" != self.state.repo:
            return error(404, "Not Found")
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return error(404, "Not Found")
        except Invalid as problem:
            return error(422, "Validation Failed", errors=[{"message": str(problem)}])

    def _knows(self, authorization: str) -> bool:
        kind, _, token = authorization.partition(" ")
        return token == self._token and kind.lower() in ("bearer", "token")

    def _fault(self, request: web.Request) -> Fault | None:
        found = (each for each in self.faults if each.is_for(request.method, request.path))
        fault = next(found, None)
        if fault is not None:
            self.faults.remove(fault)
        return fault
