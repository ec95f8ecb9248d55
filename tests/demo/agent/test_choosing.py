"""The demo reviews a change that is neither trivial nor long."""

from __future__ import annotations

from pathlib import Path

import pytest

from onecopy.demo.agent.choosing import choose
from onecopy.demo.agent.example import BASE, FIRST, SECOND, example
from onecopy.demo.agent.github.git_history import GitHistory
from onecopy.errors import InvalidArgument
from tests.demo.agent.github.test_history import Repository, repository

__all__ = ["repository"]


def test_the_newest_two_commits_with_code_are_chosen(repository: Repository) -> None:
    code = {f"a{n}.py": "x = 1\n" * 30 for n in range(2)}
    base = repository.commit(BASE)
    first = repository.commit({**BASE, **code})
    second = repository.commit({**BASE, **code, "b.py": "y = 2\n" * 30})
    repository.commit({**BASE, **code, "b.py": "y = 2\n" * 30, "README.md": "shorter\n"})
    chosen = choose(GitHistory(repository.folder))
    assert (chosen.base, chosen.first, chosen.second) == (base, first, second)
    assert chosen.title == "a change"


def test_a_repository_without_such_commits_is_refused(repository: Repository) -> None:
    for n in range(3):
        repository.commit({"README.md": f"{n}\n"})
    with pytest.raises(InvalidArgument, match="--repo"):
        choose(GitHistory(repository.folder))


def test_the_example_is_a_change_in_two_steps(tmp_path: Path) -> None:
    history, change = example()
    assert [each.path for each in history.files(change.base, change.first)] == ["shop/orders.py"]
    assert [each.path for each in history.files(change.first, change.second)] == ["shop/prices.py"]
    assert BASE.keys() < SECOND.keys()
    assert FIRST["README.md"] == BASE["README.md"]
