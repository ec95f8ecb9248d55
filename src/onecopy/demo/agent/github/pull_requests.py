"""Pull requests: as they are, as the issues that they are too, and their files."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from onecopy.demo.agent.github.answers import answer
from onecopy.demo.agent.github.resource import Resource

_MOST_FILES: Final = 3000


class PullRequests(Resource):
    """Routes of pull requests."""

    def routes(self, repo: str) -> list[web.RouteDef]:
        """Return them; `repo` is the path of the repository."""
        pull = f"{repo}/pulls/{{number:\\d+}}"
        return [
            web.get(pull, self._one),
            web.get(f"{pull}/files", self._files),
            web.get(f"{repo}/issues/{{number:\\d+}}", self._issue),
        ]

    async def _one(self, request: web.Request) -> web.Response:
        return answer(self._shapes.pull_request(self._pull(request)))

    async def _issue(self, request: web.Request) -> web.Response:
        return answer(self._shapes.issue(self._pull(request)))

    async def _files(self, request: web.Request) -> web.Response:
        pull, shapes = self._pull(request), self._shapes
        found = [] if pull.head_gone else self._state.history.files(pull.base, pull.head)
        return self._page(request, [shapes.file(each, pull.head) for each in found[:_MOST_FILES]])
