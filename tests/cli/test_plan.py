"""`plan solve`."""

from __future__ import annotations

import json
from pathlib import Path

from onecopy.planner import read_csv
from tests.cli.commands import refused, run
from tests.planner.packing.instances import CAPACITY, path_of
from tests.processes import output_of


def test_it_says_how_good_the_plan_is() -> None:
    assert run("plan", "solve", path_of("C")).stdout == (
        "203 buffers: peak 1039360 bytes (1015 KiB), "
        "lower bound 1039360 bytes (1015 KiB), proven to be the best\n"
    )


def test_a_plan_within_the_capacity_will_do() -> None:
    shown = json.loads(run("plan", "solve", path_of("D"), "-c", CAPACITY, "--json").stdout)
    assert shown["fits"] is True
    assert shown["optimal"] is False
    assert shown["lower_bound"] <= shown["peak"] <= CAPACITY


def test_what_cannot_fit_ends_with_1_and_says_so() -> None:
    result = run("plan", "solve", path_of("A"), "--capacity", "1000KiB", code=1)
    assert result.stdout.startswith("154 buffers: peak 1048576 bytes")
    assert result.stderr == (
        "onecopy: the plan needs 24 KiB more than the capacity; none needs less than 1 MiB: "
        "raise --capacity\n"
    )


def test_what_does_not_fit_in_time_ends_with_1_and_says_so() -> None:
    result = run("plan", "solve", path_of("D"), "-c", "1000000", "-t", "0s", code=1)
    assert "not proven to be the best" in result.stdout
    assert "give it a longer --time-limit" in result.stderr


def test_the_plan_is_written_and_drawn(tmp_path: Path) -> None:
    svg, out = tmp_path / "plan.svg", tmp_path / "plan.csv"
    result = run("plan", "solve", path_of("A"), "--svg", svg, "--out", out)
    assert result.stderr == f"wrote {svg}\nwrote {out}\n"
    assert svg.read_text().startswith("<svg ")
    assert all(each.offset is not None for each in read_csv(out).buffers)


def test_a_file_that_is_wrong_is_one_line_of_error(tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text("id,lower,upper,size\na,0,1,-1\n")
    assert f"{path}, line 2: size is '-1'" in refused("plan", "solve", path)
    assert "No such file" in refused("plan", "solve", tmp_path / "none.csv")


def test_a_few_bytes_are_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("id,lower,upper,size\na,0,1,1\n")
    assert run("plan", "solve", path).stdout == (
        "1 buffer: peak 1 byte, lower bound 1 byte, proven to be the best\n"
    )


def test_packing_needs_neither_torch_nor_numpy() -> None:
    code = f"""
        import sys
        from onecopy import planner
        planner.solve(planner.read_csv({str(path_of("A"))!r}))
        print(sorted({{"torch", "numpy", "sympy"}} & set(sys.modules)))
    """
    assert output_of(code) == "[]"
