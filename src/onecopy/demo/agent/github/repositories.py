"""The repository, those who work on it, and its versions compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from aiohttp import web

from onecopy.demo.agent.github.answers import answer
from onecopy.demo.agent.github.resource import Resource

if TYPE_CHECKING:
    from onecopy.demo.agent.github.history import History

_MOST_FILES: Final = 300


class Repositories(Resource):
    """Routes of the repository itself."""

    def routes(self, repo: str) -> list[web.RouteDef]:
        """Return them; `repo` is the path of the repository."""
        return [
            web.get(repo, self._repository),
            web.get(f"{repo}/compare/{{heads}}", self._compare),
            web.get(f"{repo}/collaborators/{{login}}/permission", self._permission),
        ]

    async def user(self, _: web.Request) -> web.Response:
        """Answer who asks."""
        return answer(self._shapes.user(self._state.bot))

    async def _repository(self, _: web.Request) -> web.Response:
        return answer(self._shapes.repository())

    async def _compare(self, request: web.Request) -> web.Response:
        old, _, new = request.match_info["heads"].partition("...")
        history, shapes = self._state.history, self._shapes
        if old not in history or new not in history:
            raise web.HTTPNotFound
        files = [shapes.file(each, new) for each in history.files(old, new)[:_MOST_FILES]]
        status = _status(history, old, new)
        return answer({"status": status, "total_commits": 1, "commits": [], "files": files})

    async def _permission(self, request: web.Request) -> web.Response:
        login = unquote(request.match_info["login"])
        if login not in self._state.people:
            raise web.HTTPNotFound
        return answer(self._shapes.permission(login))


def _status(history: History, old: str, new: str) -> str:
    """Say where `new` is, seen from `old`."""
    if old == new:
        return "identical"
    if history.is_ancestor(old, new):
        return "ahead"
    return "behind" if history.is_ancestor(new, old) else "diverged"
