"""What the parts of the API have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from onecopy.demo.agent.github.answers import page
from onecopy.demo.agent.github.shapes import Shapes

if TYPE_CHECKING:
    from onecopy.demo.agent.github.state import GitHubState, PullRequest


@dataclass
class Api:
    """A state, and the address at which it is served; empty before that."""

    state: GitHubState
    url: str = ""

    @property
    def shapes(self) -> Shapes:
        """Makes the values that are answered."""
        return Shapes(self.state, self.url)


class Resource:
    """A part of the API; a handler raises `HTTPNotFound` or `Invalid`."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._state = api.state

    @property
    def _shapes(self) -> Shapes:
        return self._api.shapes

    def _pull(self, request: web.Request) -> PullRequest:
        """Return the pull request, or issue, that a path names."""
        pull = self._state.pulls.get(int(request.match_info["number"]))
        if pull is None:
            raise web.HTTPNotFound
        return pull

    def _page(self, request: web.Request, values: Sequence[Any]) -> web.Response:
        return page(request, values, self._api.url)
