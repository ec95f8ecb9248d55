"""Comments of a conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from onecopy.demo.agent.github.answers import answer
from onecopy.demo.agent.github.body import given, text_of
from onecopy.demo.agent.github.resource import Resource
from onecopy.demo.agent.github.state import now

if TYPE_CHECKING:
    from onecopy.demo.agent.github.state import Comment


class Comments(Resource):
    """Routes of comments."""

    def routes(self, repo: str) -> list[web.RouteDef]:
        """Return them; `repo` is the path of the repository."""
        all_of, one = (
            f"{repo}/issues/{{number:\\d+}}/comments",
            f"{repo}/issues/comments/{{id:\\d+}}",
        )
        return [
            web.get(all_of, self._list),
            web.post(all_of, self._create),
            web.get(one, self._one),
            web.patch(one, self._change),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        number, shapes = self._pull(request).number, self._shapes
        found = [each for each in self._state.comments if each.number == number]
        return self._page(request, [shapes.comment(each) for each in found])

    async def _create(self, request: web.Request) -> web.Response:
        pull, text = self._pull(request), text_of(await given(request))
        comment = self._state.comment(pull.number, self._state.bot, text)
        return answer(self._shapes.comment(comment), 201)

    async def _one(self, request: web.Request) -> web.Response:
        return answer(self._shapes.comment(self._found(request)))

    async def _change(self, request: web.Request) -> web.Response:
        comment = self._found(request)
        comment.body = text_of(await given(request))
        comment.updated = now()
        return answer(self._shapes.comment(comment))

    def _found(self, request: web.Request) -> Comment:
        wanted = int(request.match_info["id"])
        found = next((each for each in self._state.comments if each.id == wanted), None)
        if found is None:
            raise web.HTTPNotFound
        return found
