from __future__ import annotations

import os
from pathlib import Path

import pytest

from onecopy.store import memory


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand for the control groups' file system."""
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "self")
    monkeypatch.setattr(memory, "_CGROUP_ROOT", tmp_path / "cgroup")
    return tmp_path


def test_the_tightest_limit_of_version_2_counts(group: Path) -> None:
    (group / "self").write_text("0::/pod/container\n")
    folder = group / "cgroup" / "pod" / "container"
    folder.mkdir(parents=True)
    (folder / "memory.max").write_text("max\n")
    (folder.parent / "memory.max").write_text("1048576\n")
    assert list(memory.limits()) == [1048576]
    assert memory.total() == 1048576


def test_a_limit_of_version_1_counts(group: Path) -> None:
    (group / "self").write_text("5:cpu:/x\n4:memory:/pod\n")
    folder = group / "cgroup" / "memory" / "pod"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("2097152\n")
    (folder.parent / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert sorted(memory.limits()) == [2097152, 9223372036854771712]


def test_without_a_limit_it_is_the_machines_memory(group: Path) -> None:
    (group / "self").write_text("0::/\n")
    assert memory.total() == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
