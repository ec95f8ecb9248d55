"""The server refuses whom GitHub refuses, and fails when told to."""

from __future__ import annotations

from typing import Any

import pytest

from onecopy.demo.agent.github.fault import Fault
from onecopy.demo.agent.github.server import GitHubServer
from onecopy.demo.agent.github.state import GitHubState
from tests.demo.agent.github.clients import ask, read, serving


def test_another_library_sees_a_wrong_token_as_one(state: GitHubState) -> None:
    github = pytest.importorskip("github")

    def forbidden(client: Any) -> None:
        with pytest.raises(github.BadCredentialsException):
            client.get_repo(state.repo)

    read(state, forbidden, token="wrong")


def test_another_library_sees_that_a_repository_is_not_there(state: GitHubState) -> None:
    github = pytest.importorskip("github")

    def act(client: Any) -> None:
        with pytest.raises(github.UnknownObjectException):
            client.get_repo("another/repository")

    read(state, act)


def test_a_fault_happens_once_before_or_after_the_work(state: GitHubState) -> None:
    async def act(server: GitHubServer) -> list[int]:
        where = f"/repos/{state.repo}/issues/1/comments"
        server.faults += [
            Fault("POST", ".*/comments", 503, {"Retry-After": "1"}),
            Fault("POST", ".*/comments", 502, done=True),
        ]
        return [(await ask(server, "POST", where, {"body": "b"}))[0] for _ in range(3)]

    assert serving(state, act) == [503, 502, 201]
    assert len(state.comments) == 2


def test_requests_are_kept_in_their_order(state: GitHubState) -> None:
    async def act(server: GitHubServer) -> list[str]:
        await ask(server, "GET", "/user")
        await ask(server, "GET", "/none")
        return server.requests

    assert serving(state, act) == ["GET /user", "GET /none"]
