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


def test_several_dimensions_are_certified_with_a_step_each() -> None:
    found = _fitted(f"{modules.__name__}:grown_plan", "-b", "3MiB", "-m", "b", "-m", "s",
                    "-s", "b=..3", "--certify", "--step", "s=16")["certificate"]  # fmt: skip
    assert found["along"] == ["b", "s"]
    assert found["values"]["b"] == 3
    assert found["refused"]["b"] is None
    assert found["refused"]["s"]["values"]["s"] == found["values"]["s"] + 16


def test_what_a_bound_limits_is_said() -> None:
    result = run("plan", "fit", MODEL, "-b", "3MiB", "-m", "s", "-s", "s=..50")
    assert result.stdout == "s = 50 (s at the bound): 471 KiB of 3 MiB\n"
    assert "s cannot be larger in this plan, or by --subject-to" in result.stderr


def test_a_saved_plan_cannot_be_certified_without_its_module(tmp_path) -> None:
    modules.wide_plan().save(tmp_path / "wide.plan")
    arguments = ("plan", "fit", tmp_path / "wide.plan", "-b", "3MiB", "-m", "s", "--certify")
    assert "--module" in run(*arguments, code=2).stderr


def test_what_does_not_fit_is_one_line() -> None:
    assert "are needed at least" in refused("plan", "fit", MODEL, "-b", "1KiB", "-m", "s")
    assert "names x" in refused("plan", "fit", MODEL, "-b", "3MiB", "-m", "x")
    assert "neither a file nor a folder" in refused(
        "plan", "fit", "nothing", "-b", "3MiB", "-m", "x"
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-m", "s", "-s", "s"], "no bound"),
        (["-m", "s", "-s", "s=1..x"], "no bound"),
        (["-m", "s=1", "-m", "b"], "a weight to each"),
        (["-m", "s=much"], "a weight is a number"),
        (["-m", "s", "--certify", "--step", "x"], "a step like 64"),
        (["-m", "s", "--certify", "--step", "s=1", "--step", "2"], "a step like 64"),
        (["-m", "s", "--certify", "--table", "s"], "certify one row"),
    ],
)
def test_arguments_that_make_no_sense_are_usage_errors(arguments: list[str], text: str) -> None:
    assert text in run("plan", "fit", MODEL, "-b", "3MiB", *arguments, code=2).stderr
