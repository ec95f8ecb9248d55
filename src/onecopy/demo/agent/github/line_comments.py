"""Comments on the lines of a diff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from onecopy.demo.agent.github.answers import answer
from onecopy.demo.agent.github.body import Invalid, given, text_of
from onecopy.demo.agent.github.patch import places
from onecopy.demo.agent.github.resource import Resource

if TYPE_CHECKING:
    from onecopy.demo.agent.github.state import Comment, PullRequest


class LineComments(Resource):
    """Routes of comments on lines."""

    def routes(self, repo: str) -> list[web.RouteDef]:
        """Return them; `repo` is the path of the repository."""
        path = f"{repo}/pulls/{{number:\\d+}}/comments"
        return [web.get(path, self._list), web.post(path, self._create)]

    async def _list(self, request: web.Request) -> web.Response:
        number, shapes = self._pull(request).number, self._shapes
        found = [each for each in self._state.line_comments if each.number == number]
        return self._page(request, [shapes.line_comment(each) for each in found])

    async def _create(self, request: web.Request) -> web.Response:
        pull, found = self._pull(request), await given(request)
        return answer(self._shapes.line_comment(self._written(pull, found)), 201)

    def _written(self, pull: PullRequest, found: dict[str, Any]) -> Comment:
        line, side = found.get("line"), found.get("side", "RIGHT")
        if found.get("commit_id") not in self._state.history:
            raise Invalid("commit_id is not part of the pull request")
        patches = {
            each.path: each.patch for each in self._state.history.files(pull.base, pull.head)
        }
        path = str(found.get("path"))
        if not isinstance(line, int) or (side, line) not in places(patches.get(path)):
            raise Invalid("line must be part of the diff")
        text, commit = text_of(found), found["commit_id"]
        return self._state.comment_on_line(
            pull.number, self._state.bot, text, path, side, line, commit
        )
