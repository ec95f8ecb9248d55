"""Labels of a pull request."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from aiohttp import web

from onecopy.demo.agent.github.answers import answer
from onecopy.demo.agent.github.body import Invalid, given
from onecopy.demo.agent.github.resource import Resource


class Labels(Resource):
    """Routes of labels."""

    def routes(self, repo: str) -> list[web.RouteDef]:
        """Return them; `repo` is the path of the repository."""
        path = f"{repo}/issues/{{number:\\d+}}/labels"
        return [
            web.get(path, self._list),
            web.post(path, self._add),
            web.delete(f"{path}/{{label}}", self._remove),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        return self._page(request, self._shown(self._pull(request).labels))

    async def _add(self, request: web.Request) -> web.Response:
        pull, found = self._pull(request), await given(request, of_list="labels")
        names = found.get("labels")
        if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
            raise Invalid("labels must be a list of names")
        pull.labels += [each for each in names if each not in pull.labels]
        return answer(self._shown(pull.labels))

    async def _remove(self, request: web.Request) -> web.Response:
        pull, name = self._pull(request), unquote(request.match_info["label"])
        if name not in pull.labels:
            raise web.HTTPNotFound
        pull.labels.remove(name)
        return answer(self._shown(pull.labels))

    def _shown(self, names: list[str]) -> list[Any]:
        shapes = self._shapes
        return [shapes.label(each) for each in names]
