from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from tests.cli.commands import refused, run
from tests.planner.budget import modules

MODEL = f"{modules.__name__}:wide_plan"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _fitted(*arguments: Any) -> Any:
    return json.loads(run("plan", "fit", *arguments, "--json").stdout)


def test_it_finds_what_the_library_finds() -> None:
    found = modules.wide_plan().fit("3MiB", maximize="s")
    assert _fitted(MODEL, "--budget", "3MiB", "--maximize", "s") == found.as_dict()
    assert run("plan", "fit", MODEL, "-b", "3MiB", "-m", "s").stdout == f"{found}\n"


def test_bounds_and_weights_are_understood() -> None:
    def best(*arguments: str) -> int:
        return _fitted(MODEL, "-b", "3MiB", *arguments)["values"]["s"]

    assert best("-m", "s", "-s", "s=..50") == 50
    assert best("-m", "s", "-s", "s=7") == 7
    assert best("-m", "s=-1", "-s", "s=20..") == 20
    assert best("-m", "s=2.5", "-s", "s=20..30") == 30


def test_a_table_has_a_row_for_each_value() -> None:
    text = run("plan", "fit", MODEL, "-b", "300KiB", "-m", "s", "-t", "s", "-s", "s=4..16").stdout
    assert [line.split()[0] for line in text.splitlines()] == ["s", "4", "8", "16"]
    assert "does not fit" in text
    rows = _fitted(MODEL, "-b", "300KiB", "-m", "s", "-t", "s", "-s", "s=4..16")["rows"]
    assert [row["s"] for row in rows] == [4, 8, 16]


def test_a_saved_plan_is_certified_with_its_module(tmp_path) -> None:
    modules.wide_plan().save(tmp_path / "wide.plan")
    found = _fitted(
        tmp_path / "wide.plan", "-b", "3MiB", "-m", "s",
        "--certify", "--module", f"{modules.__name__}:wide", "--step", 8,
    )  # fmt: skip
    certificate = found["certificate"]
    assert certificate["peak"] <= 3 << 20
    assert certificate["beyond"]["values"]["s"] == certificate["values"]["s"] + 8


def test_what_does_not_fit_is_one_line() -> None:
    assert "are needed at least" in refused("plan", "fit", MODEL, "-b", "1KiB", "-m", "s")
    assert "names x" in refused("plan", "fit", MODEL, "-b", "3MiB", "-m", "x")
    assert "neither a file" in refused("plan", "fit", "nothing", "-b", "3MiB", "-m", "x")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-m", "s", "-s", "s"], "no bound"),
        (["-m", "s", "-s", "s=1..x"], "no bound"),
        (["-m", "s=1", "-m", "b"], "a weight to each"),
        (["-m", "s=much"], "a weight is a number"),
    ],
)
def test_arguments_that_make_no_sense_are_usage_errors(arguments: list[str], text: str) -> None:
    assert text in run("plan", "fit", MODEL, "-b", "3MiB", *arguments, code=2).stderr
