"""Comments are possible on the lines of the diff, and nowhere else."""

from __future__ import annotations

from onecopy.demo.agent.github.server import GitHubServer
from onecopy.demo.agent.github.state import GitHubState
from tests.demo.agent.github.clients import ask, serving


def test_they_are_possible_on_the_lines_of_the_diff_only(state: GitHubState) -> None:
    where = f"/repos/{state.repo}/pulls/1/comments"
    good = {"body": "b", "commit_id": state.pulls[1].head, "path": "f000.py", "side": "RIGHT"}

    async def act(server: GitHubServer) -> None:
        for line, side, status in ((3, "RIGHT", 201), (2, "LEFT", 201), (4, "RIGHT", 422),
                                   (3, "LEFT", 422), ("3", "RIGHT", 422)):  # fmt: skip
            given = {**good, "line": line, "side": side}
            assert (await ask(server, "POST", where, given))[0] == status, (line, side)
        for wrong in ({"path": "none.py"}, {"commit_id": "0" * 40}, {"body": ""}):
            given = {**good, "line": 3, **wrong}
            assert (await ask(server, "POST", where, given))[0] == 422

    serving(state, act)
    assert [(each.path, each.side, each.line) for each in state.line_comments] == [
        ("f000.py", "RIGHT", 3),
        ("f000.py", "LEFT", 2),
    ]


def test_they_are_listed(state: GitHubState) -> None:
    state.comment_on_line(1, "ada", "b", "f000.py", "RIGHT", 3, state.pulls[1].head)

    async def act(server: GitHubServer) -> list[tuple[str, int]]:
        _, found = await ask(server, "GET", f"/repos/{state.repo}/pulls/1/comments")
        return [(each["path"], each["line"]) for each in found]

    assert serving(state, act) == [("f000.py", 3)]
