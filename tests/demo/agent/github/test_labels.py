"""Labels, as a client library of others has them."""

from __future__ import annotations

from typing import Any

from onecopy.demo.agent.github.server import GitHubServer
from onecopy.demo.agent.github.state import GitHubState
from tests.demo.agent.github.clients import ask, read, serving


def test_another_library_adds_and_removes_them(state: GitHubState) -> None:
    def act(client: Any) -> None:
        issue = client.get_repo(state.repo).get_pull(1).as_issue()
        issue.add_to_labels("risk-low", "other")
        issue.remove_from_labels("other")
        assert [each.name for each in issue.get_labels()] == ["risk-low"]

    read(state, act)
    assert state.pulls[1].labels == ["risk-low"]


def test_what_is_none_is_refused(state: GitHubState) -> None:
    async def act(server: GitHubServer) -> list[int]:
        where = f"/repos/{state.repo}/issues/1/labels"
        added = await ask(server, "POST", where, {"labels": [1]})
        removed = await ask(server, "DELETE", f"{where}/none")
        return [added[0], removed[0]]

    assert serving(state, act) == [422, 404]
