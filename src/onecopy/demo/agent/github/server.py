"""The server: routes of the REST API over a state, with GitHub's own errors and pages."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec
from aiohttp import web

from onecopy.demo.agent.github.shapes import Shapes
from onecopy.demo.agent.github.state import now

if TYPE_CHECKING:
    from onecopy.demo.agent.github.state import Comment, GitHubState, PullRequest

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_DOCS: Final = "https://docs.github.com/rest"
_MOST_FILES: Final = 3000
_COMPARED: Final = 300
_LONGEST: Final = 65536
_HUNK: Final = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass
class Fault:
    """What goes wrong, once: the first request with this method and path does not do well."""

    method: str
    path: str
    """A regular expression; all of the path has to match."""
    status: int = 502
    headers: dict[str, str] = field(default_factory=dict)
    done: bool = False
    """Whether the request is carried out nevertheless: the answer is what is lost."""


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
        self.url = ""
        self.requests: list[str] = []
        """Method and path of each request, in their order."""
        self.faults: list[Fault] = []
        self._token = token
        self._where = host, port

    @property
    def shapes(self) -> Shapes:
        """Makes the values that it answers."""
        return Shapes(self.state, self.url)

    async def __aenter__(self) -> GitHubServer:
        """Listen."""
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._where).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Listen no more."""
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._checked], client_max_size=4 << 20)
        app.router.add_get("/user", self._user)
        # GitHub's own links name a repository by its number.
        for repo in ("/repos/{owner}/{name}", "/repositories/1"):
            app.add_routes(self._routes(repo))
        return app

    def _routes(self, repo: str) -> list[web.RouteDef]:
        pull, issue = f"{repo}/pulls/{{number:\\d+}}", f"{repo}/issues/{{number:\\d+}}"
        return [
            web.get(repo, self._repository),
            web.get(pull, self._pull),
            web.get(f"{pull}/files", self._files),
            web.get(f"{pull}/comments", self._line_comments),
            web.post(f"{pull}/comments", self._comment_on_line),
            web.get(issue, self._issue),
            web.get(f"{issue}/comments", self._comments),
            web.post(f"{issue}/comments", self._comment),
            web.get(f"{issue}/labels", self._labels),
            web.post(f"{issue}/labels", self._add_labels),
            web.delete(f"{issue}/labels/{{label}}", self._remove_label),
            web.get(f"{repo}/issues/comments/{{id:\\d+}}", self._one_comment),
            web.patch(f"{repo}/issues/comments/{{id:\\d+}}", self._change_comment),
            web.get(f"{repo}/compare/{{heads}}", self._compare),
            web.get(f"{repo}/collaborators/{{login}}/permission", self._permission),
        ]

    # ---- what holds for all ----

    @web.middleware
    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        fault = self._fault(request)
        if fault is not None and not fault.done:
            return _error(fault.status, "Server Error", fault.headers)
        response = await self._answered(request, handler)
        if fault is not None:
            return _error(fault.status, "Server Error", fault.headers)
        response.headers["X-RateLimit-Limit"] = "5000"
        response.headers["X-RateLimit-Remaining"] = str(max(0, 5000 - len(self.requests)))
        return response

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").split(" ")
        if given[-1] != self._token or given[0].lower() not in ("bearer", "token"):
            return _error(401, "Bad credentials")
        where = request.match_info
        if "owner" in where and f"{where['owner']}/{where['name']}" != self.state.repo:
            return _error(404, "Not Found")
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return _error(404, "Not Found")
        except _Invalid as error:
            return _error(422, "Validation Failed", errors=[{"message": str(error)}])

    def _fault(self, request: web.Request) -> Fault | None:
        for each in self.faults:
            if each.method == request.method and re.fullmatch(each.path, request.path):
                self.faults.remove(each)
                return each
        return None

    def _of(self, request: web.Request) -> PullRequest:
        pull = self.state.pulls.get(int(request.match_info["number"]))
        if pull is None:
            raise web.HTTPNotFound
        return pull

    # ---- pull requests ----

    async def _user(self, _: web.Request) -> web.Response:
        return _json(self.shapes.user(self.state.bot))

    async def _repository(self, _: web.Request) -> web.Response:
        return _json(self.shapes.repository())

    async def _pull(self, request: web.Request) -> web.Response:
        return _json(self.shapes.pull_request(self._of(request)))

    async def _issue(self, request: web.Request) -> web.Response:
        return _json(self.shapes.issue(self._of(request)))

    async def _files(self, request: web.Request) -> web.Response:
        pull, shapes = self._of(request), self.shapes
        found = [] if pull.head_gone else self.state.history.files(pull.base, pull.head)
        files = [shapes.file(each, pull.head) for each in found[:_MOST_FILES]]
        return self._page(request, files)

    async def _compare(self, request: web.Request) -> web.Response:
        old, _, new = request.match_info["heads"].partition("...")
        history, shapes = self.state.history, self.shapes
        if old not in history or new not in history:
            raise web.HTTPNotFound
        files = [shapes.file(each, new) for each in history.files(old, new)[:_COMPARED]]
        status = "identical" if old == new else "ahead"
        if not history.is_ancestor(old, new):
            status = "behind" if history.is_ancestor(new, old) else "diverged"
        return _json({"status": status, "total_commits": 1, "commits": [], "files": files})

    async def _permission(self, request: web.Request) -> web.Response:
        login = unquote(request.match_info["login"])
        if login not in self.state.people:
            raise web.HTTPNotFound
        return _json(self.shapes.permission(login))

    # ---- comments and labels ----

    async def _comments(self, request: web.Request) -> web.Response:
        number, shapes = self._of(request).number, self.shapes
        found = [each for each in self.state.comments if each.number == number]
        return self._page(request, [shapes.comment(each) for each in found])

    async def _comment(self, request: web.Request) -> web.Response:
        pull, body = self._of(request), _body(await _given(request))
        comment = self.state.comment(pull.number, self.state.bot, body)
        return _json(self.shapes.comment(comment), 201)

    async def _one_comment(self, request: web.Request) -> web.Response:
        return _json(self.shapes.comment(self._found_comment(request)))

    async def _change_comment(self, request: web.Request) -> web.Response:
        comment = self._found_comment(request)
        comment.body = _body(await _given(request))
        comment.updated = now()
        return _json(self.shapes.comment(comment))

    def _found_comment(self, request: web.Request) -> Comment:
        wanted = int(request.match_info["id"])
        for each in self.state.comments:
            if each.id == wanted:
                return each
        raise web.HTTPNotFound

    async def _line_comments(self, request: web.Request) -> web.Response:
        number, shapes = self._of(request).number, self.shapes
        found = [each for each in self.state.line_comments if each.number == number]
        return self._page(request, [shapes.line_comment(each) for each in found])

    async def _comment_on_line(self, request: web.Request) -> web.Response:
        pull, given = self._of(request), await _given(request)
        path, line, side = given.get("path"), given.get("line"), given.get("side", "RIGHT")
        if given.get("commit_id") not in self.state.history:
            raise _Invalid("commit_id is not part of the pull request")
        files = {each.path: each for each in self.state.history.files(pull.base, pull.head)}
        file = files.get(str(path))
        if file is None or not isinstance(line, int) or (side, line) not in _lines(file.patch):
            raise _Invalid("line must be part of the diff")
        comment = self.state.comment_on_line(
            pull.number, self.state.bot, _body(given), file.path, side, line, given["commit_id"]
        )
        return _json(self.shapes.line_comment(comment), 201)

    async def _labels(self, request: web.Request) -> web.Response:
        shapes = self.shapes
        return self._page(request, [shapes.label(each) for each in self._of(request).labels])

    async def _add_labels(self, request: web.Request) -> web.Response:
        pull, given = self._of(request), await _given(request, of_list="labels")
        names = given.get("labels")
        if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
            raise _Invalid("labels must be a list of names")
        pull.labels += [each for each in names if each not in pull.labels]
        return _json([self.shapes.label(each) for each in pull.labels])

    async def _remove_label(self, request: web.Request) -> web.Response:
        pull, name = self._of(request), unquote(request.match_info["label"])
        if name not in pull.labels:
            raise web.HTTPNotFound
        pull.labels.remove(name)
        return _json([self.shapes.label(each) for each in pull.labels])

    def _page(self, request: web.Request, values: list[Any]) -> web.Response:
        """One page, with links to the others in the header `Link` (RFC 8288)."""
        size = min(100, max(1, _number(request.query.get("per_page"), 30)))
        page = max(1, _number(request.query.get("page"), 1))
        last = max(1, -(-len(values) // size))
        response = _json(values[(page - 1) * size : page * size])
        links = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
        shown = ("next", "last") if page == 1 else ("prev", "first") if page >= last else links
        if last > 1:
            # As GitHub does: by the number of the repository, and not by its name.
            tail = re.sub(r"^/(repos/[^/]+/[^/]+|repositories/1)", "", request.path)
            base = f"{self.url}/repositories/1{tail}?per_page={size}"
            response.headers["Link"] = ", ".join(
                f'<{base}&page={links[rel]}>; rel="{rel}"' for rel in shown
            )
        return response


class _Invalid(Exception):
    """A request that GitHub answers with 422."""


async def _given(request: web.Request, of_list: str = "") -> dict[str, Any]:
    """The body of a request, an object; a list stands for one with it as `of_list`."""
    try:
        given = msgspec.json.decode(await request.read())
    except msgspec.DecodeError:
        raise _Invalid("Problems parsing JSON") from None
    if of_list and isinstance(given, list):
        return {of_list: given}
    if not isinstance(given, dict):
        raise _Invalid("Body should be a JSON object")
    return given


def _body(given: dict[str, Any]) -> str:
    body = given.get("body")
    if not isinstance(body, str) or not body.strip():
        raise _Invalid("body can't be blank")
    if len(body) > _LONGEST:
        raise _Invalid(f"body is too long (maximum is {_LONGEST} characters)")
    return body


def _lines(patch: str | None) -> Iterable[tuple[str, int]]:
    """The lines on which comments are possible: those that the hunks show."""
    old = new = 0
    for line in (patch or "").split("\n"):
        header = _HUNK.match(line)
        if header:
            old, new = int(header[1]), int(header[3])
        elif line.startswith("-"):
            yield "LEFT", old
            old += 1
        elif line.startswith("+"):
            yield "RIGHT", new
            new += 1
        elif line.startswith(" "):
            yield from (("RIGHT", new), ("LEFT", old))
            old, new = old + 1, new + 1


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else default


def _json(value: Any, status: int = 200) -> web.Response:
    response = web.Response(status=status, body=msgspec.json.encode(value))
    response.content_type = "application/json"
    response.charset = "utf-8"
    return response


def _error(
    status: int, message: str, headers: dict[str, str] | None = None, **more: Any
) -> web.Response:
    what = {"message": message, **more, "documentation_url": _DOCS, "status": str(status)}
    response = _json(what, status)
    response.headers.update(headers or {})
    return response
