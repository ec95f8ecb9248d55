"""A GitHub with a pull request of 150 files."""

from __future__ import annotations

import pytest

from onecopy.demo.agent.github.history import Versions
from onecopy.demo.agent.github.state import GitHubState


@pytest.fixture
def state() -> GitHubState:
    versions = Versions()
    base = versions.add({f"f{n:03}.py": "a = 1\nb = 2\n" for n in range(150)})
    tree = {f"f{n:03}.py": "a = 1\nb = 3\nc = 4\n" for n in range(150)}
    state = GitHubState(versions)
    state.open("Change all", base, versions.add(tree, parent=base))
    return state
