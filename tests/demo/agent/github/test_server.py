"""The server is read by a client library of others, and refuses what GitHub refuses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from onecopy.demo.agent.github.history import Versions
from onecopy.demo.agent.github.server import Fault, GitHubServer
from onecopy.demo.agent.github.state import GitHubState

github = pytest.importorskip("github")
TOKEN = "a-token"


@pytest.fixture
def state() -> GitHubState:
    versions = Versions()
    base = versions.add({f"f{n:03}.py": "a = 1\nb = 2\n" for n in range(150)})
    tree = {f"f{n:03}.py": "a = 1\nb = 3\nc = 4\n" for n in range(150)}
    state = GitHubState(versions)
    state.open("Change all", base, versions.add(tree, parent=base))
    return state


def read(state: GitHubState, act: Callable[[Any], Any], token: str = TOKEN) -> Any:
    """Have PyGithub, in a thread, do something with the repository."""

    async def whole() -> Any:
        async with GitHubServer(state, token=TOKEN) as server:
            client = github.Github(
                base_url=server.url,
                auth=github.Auth.Token(token),
                retry=None,
                seconds_between_requests=0,
                seconds_between_writes=0,
            )
            try:
                return await asyncio.to_thread(act, client)
            finally:
                client.close()

    return asyncio.run(whole())


def test_another_library_reads_a_pull_request_and_all_pages_of_its_files(
    state: GitHubState,
) -> None:
    def act(client: Any) -> None:
        pull = client.get_repo(state.repo).get_pull(1)
        assert (pull.title, pull.state, pull.changed_files) == ("Change all", "open", 150)
        assert pull.user.login == "ada"
        assert pull.head.sha == state.pulls[1].head
        files = list(pull.get_files())
        assert [each.filename for each in files] == [f"f{n:03}.py" for n in range(150)]
        assert files[0].patch == "@@ -1,2 +1,3 @@\n a = 1\n-b = 2\n+b = 3\n+c = 4"
        assert (files[0].additions, files[0].deletions, files[0].changes) == (2, 1, 3)

    read(state, act)


def test_another_library_writes_comments_and_labels(state: GitHubState) -> None:
    def act(client: Any) -> None:
        repository = client.get_repo(state.repo)
        pull = repository.get_pull(1)
        comment = pull.create_issue_comment("first")
        comment.edit("second")
        assert [each.body for each in pull.get_issue_comments()] == ["second"]
        pull.as_issue().add_to_labels("risk-low", "other")
        pull.as_issue().remove_from_labels("other")
        assert [each.name for each in pull.as_issue().get_labels()] == ["risk-low"]
        assert repository.get_collaborator_permission("ada") == "write"

    read(state, act)
    assert [(each.author, each.body) for each in state.comments] == [("review-bot", "second")]
    assert state.pulls[1].labels == ["risk-low"]


def test_another_library_sees_errors_as_those_of_github(state: GitHubState) -> None:
    def act(client: Any) -> None:
        repository = client.get_repo(state.repo)
        with pytest.raises(github.UnknownObjectException):
            repository.get_pull(2)
        with pytest.raises(github.UnknownObjectException):
            client.get_repo("another/repository")
        with pytest.raises(github.GithubException) as caught:
            repository.get_pull(1).create_issue_comment(" ")
        assert caught.value.status == 422

    read(state, act)

    def forbidden(client: Any) -> None:
        with pytest.raises(github.BadCredentialsException):
            client.get_repo(state.repo)

    read(state, forbidden, token="wrong")


async def ask(server: GitHubServer, method: str, path: str, given: Any = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, server.url + path, json=given) as answer,
    ):
        return answer.status, await answer.json()


def test_comments_are_possible_on_the_lines_of_the_diff_only(state: GitHubState) -> None:
    async def act() -> None:
        async with GitHubServer(state, token=TOKEN) as server:
            where = f"/repos/{state.repo}/pulls/1/comments"
            good = {
                "body": "b",
                "commit_id": state.pulls[1].head,
                "path": "f000.py",
                "side": "RIGHT",
            }
            for line, side, status in ((3, "RIGHT", 201), (2, "LEFT", 201), (4, "RIGHT", 422),
                                       (3, "LEFT", 422), ("3", "RIGHT", 422)):  # fmt: skip
                given = {**good, "line": line, "side": side}
                assert (await ask(server, "POST", where, given))[0] == status, (line, side)
            for wrong in ({"path": "none.py"}, {"commit_id": "0" * 40}, {"body": ""}):
                given = {**good, "line": 3, **wrong}
                assert (await ask(server, "POST", where, given))[0] == 422

    asyncio.run(act())
    assert [(each.path, each.side, each.line) for each in state.line_comments] == [
        ("f000.py", "RIGHT", 3),
        ("f000.py", "LEFT", 2),
    ]


def test_a_fault_happens_once_before_or_after_the_work(state: GitHubState) -> None:
    async def act() -> list[int]:
        async with GitHubServer(state, token=TOKEN) as server:
            where = f"/repos/{state.repo}/issues/1/comments"
            server.faults += [
                Fault("POST", ".*/comments", 503, {"Retry-After": "1"}),
                Fault("POST", ".*/comments", 502, done=True),
            ]
            return [(await ask(server, "POST", where, {"body": "b"}))[0] for _ in range(3)]

    assert asyncio.run(act()) == [503, 502, 201]
    assert len(state.comments) == 2


def test_versions_are_compared(state: GitHubState) -> None:
    async def act() -> None:
        pull = state.pulls[1]
        async with GitHubServer(state, token=TOKEN) as server:
            where = f"/repos/{state.repo}/compare"
            old, new = pull.base, pull.head
            for first, second, status in (
                (old, new, "ahead"),
                (new, old, "behind"),
                (new, new, "identical"),
            ):
                code, found = await ask(server, "GET", f"{where}/{first}...{second}")
                assert (code, found["status"]) == (200, status)
            assert (await ask(server, "GET", f"{where}/{'0' * 40}...{pull.head}"))[0] == 404

    asyncio.run(act())


def test_links_to_pages_name_the_repository_by_its_number(state: GitHubState) -> None:
    async def act() -> str:
        async with (
            GitHubServer(state, token=TOKEN) as server,
            aiohttp.ClientSession(headers={"Authorization": f"token {TOKEN}"}) as session,
            session.get(
                f"{server.url}/repos/{state.repo}/pulls/1/files?per_page=50&page=2"
            ) as answer,
        ):
            return str(answer.headers["Link"])

    link = asyncio.run(act())
    assert re.findall(r'page=(\d+)>; rel="(\w+)"', link) == [
        ("1", "prev"), ("3", "next"), ("3", "last"), ("1", "first")]  # fmt: skip
    assert "/repositories/1/pulls/1/files?per_page=50" in link
