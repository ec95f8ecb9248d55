"""Pull requests and their files, read by a client library of others."""

from __future__ import annotations

from typing import Any

import pytest

from onecopy.demo.agent.github.server import GitHubServer
from onecopy.demo.agent.github.state import GitHubState
from tests.demo.agent.github.clients import ask, read, serving


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


def test_another_library_sees_that_one_is_not_there(state: GitHubState) -> None:
    github = pytest.importorskip("github")

    def act(client: Any) -> None:
        with pytest.raises(github.UnknownObjectException):
            client.get_repo(state.repo).get_pull(2)

    read(state, act)


def test_it_is_an_issue_too_and_has_no_files_once_its_branch_is_gone(state: GitHubState) -> None:
    async def act(server: GitHubServer) -> None:
        _, issue = await ask(server, "GET", f"/repos/{state.repo}/issues/1")
        assert issue["pull_request"]["url"].endswith("/pulls/1")
        state.pulls[1].head_gone = True
        assert await ask(server, "GET", f"/repos/{state.repo}/pulls/1/files") == (200, [])
        _, pull = await ask(server, "GET", f"/repos/{state.repo}/pulls/1")
        assert pull["head"]["repo"] is None

    serving(state, act)
