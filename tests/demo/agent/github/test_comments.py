"""Comments are written, changed and refused as at GitHub."""

from __future__ import annotations

from typing import Any

import pytest

from onecopy.demo.agent.github.body import LONGEST
from onecopy.demo.agent.github.server import GitHubServer
from onecopy.demo.agent.github.state import GitHubState
from tests.demo.agent.github.clients import ask, read, serving


def test_another_library_writes_and_changes_one(state: GitHubState) -> None:
    def act(client: Any) -> None:
        pull = client.get_repo(state.repo).get_pull(1)
        pull.create_issue_comment("first").edit("second")
        assert [each.body for each in pull.get_issue_comments()] == ["second"]

    read(state, act)
    assert [(each.author, each.body) for each in state.comments] == [("review-bot", "second")]


def test_another_library_sees_that_an_empty_one_is_refused(state: GitHubState) -> None:
    github = pytest.importorskip("github")

    def act(client: Any) -> None:
        with pytest.raises(github.GithubException) as caught:
            client.get_repo(state.repo).get_pull(1).create_issue_comment(" ")
        assert caught.value.status == 422

    read(state, act)


@pytest.mark.parametrize("given", ["{", "[]", {}, {"body": 1}, {"body": "b" * (LONGEST + 1)}])
def test_what_is_no_comment_is_refused(state: GitHubState, given: Any) -> None:
    async def act(server: GitHubServer) -> int:
        return (await ask(server, "POST", f"/repos/{state.repo}/issues/1/comments", given))[0]

    assert serving(state, act) == 422
    assert not state.comments


def test_one_that_is_not_there_is_not_found(state: GitHubState) -> None:
    async def act(server: GitHubServer) -> int:
        return (await ask(server, "GET", f"/repos/{state.repo}/issues/comments/5"))[0]

    assert serving(state, act) == 404
