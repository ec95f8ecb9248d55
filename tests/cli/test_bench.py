"""`bench`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import onecopy
from onecopy.cli import bench as module
from tests.cli.commands import run

SMALL = (1 << 10, 1 << 20)


@pytest.fixture(autouse=True)
def sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the size that takes long."""
    monkeypatch.setattr(module, "_SIZES", SMALL)


def test_json_has_seconds_for_each_size(runtime: Path) -> None:
    results = json.loads(run("bench", "--json", "--seconds", "0").stdout)
    assert [list(each) for each in results] == [
        ["nbytes", "save", "memcpy", "load", "from_file"]
    ] * 2
    assert [each["nbytes"] for each in results] == list(SMALL)
    assert all(0 < each[key] < 10 for each in results for key in ("save", "load"))
    assert list(runtime.iterdir()) == []


def test_a_table_shows_the_sizes() -> None:
    title, *lines = run("bench", "--seconds", "0").stdout.splitlines()
    assert title.split()[:3] == ["size", "save", "memcpy"]
    assert [line.split()[:2] for line in lines] == [["1", "KiB"], ["1", "MiB"]]


def test_a_running_store_is_left_as_it_was(store: onecopy.Store) -> None:
    run("bench", "test", "--seconds", "0")
    assert store.names() == []


def test_medians_are_of_three_at_least() -> None:
    done: list[int] = []
    assert module._median(lambda: done.append(1), 0) > 0
    assert len(done) == 4
