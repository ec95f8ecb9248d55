"""The repository, its people and its versions."""

from __future__ import annotations

from typing import Any

import pytest

from onecopy.demo.agent.github.server import GitHubServer
from onecopy.demo.agent.github.state import GitHubState
from tests.demo.agent.github.clients import ask, read, serving


def test_another_library_reads_what_a_person_may_do(state: GitHubState) -> None:
    github = pytest.importorskip("github")

    def act(client: Any) -> None:
        repository = client.get_repo(state.repo)
        assert repository.get_collaborator_permission("ada") == "write"
        with pytest.raises(github.UnknownObjectException):
            repository.get_collaborator_permission("nobody")
        assert client.get_user().login == state.bot

    read(state, act)


def test_versions_are_compared(state: GitHubState) -> None:
    old, new = state.pulls[1].base, state.pulls[1].head

    async def act(server: GitHubServer) -> None:
        where = f"/repos/{state.repo}/compare"
        for first, second, status in ((old, new, "ahead"), (new, old, "behind"),
                                      (new, new, "identical")):  # fmt: skip
            code, found = await ask(server, "GET", f"{where}/{first}...{second}")
            assert (code, found["status"]) == (200, status)
        assert (await ask(server, "GET", f"{where}/{'0' * 40}...{new}"))[0] == 404

    serving(state, act)
