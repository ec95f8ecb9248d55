"""`demo`, which only passes on what it was told."""

from __future__ import annotations

from pathlib import Path

import pytest

import onecopy.demo
import onecopy.demo.guided
from tests.cli.commands import run


def test_arguments_and_exit_code_are_passed_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[object] = []

    def play(model: Path | None, workers: int, console: object) -> int:
        seen.extend((model, workers))
        return 1

    monkeypatch.setattr(onecopy.demo, "run", play)
    run("demo", "--model", tmp_path, "--workers", "2", code=1)
    run("demo", code=1)
    assert seen == [tmp_path, 2, None, 4]


def test_there_is_a_second_story(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def play(workers: int, console: object) -> int:
        seen.append(workers)
        return 1

    monkeypatch.setattr(onecopy.demo.guided, "run", play)
    run("demo", "guided", code=1)
    run("demo", "guided", "--workers", "3", code=1)
    assert seen == [2, 3]
    assert "guided" in run("demo", "other", code=2).stderr


def test_a_model_must_be_a_folder(tmp_path: Path) -> None:
    assert "--model" in run("demo", "--model", tmp_path / "none", code=2).stderr


def test_there_is_at_least_one_worker() -> None:
    assert "--workers" in run("demo", "--workers", "0", code=2).stderr
