from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onecopy import InvalidProblem
from onecopy.planner import Buffer, Problem, read_csv, solve, validate, write_csv
from tests.planner.packing.instances import path_of
from tests.planner.packing.problems import problems

BREAKS = tuple("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")


def reading(tmp_path: Path, text: str | bytes) -> Problem:
    path = tmp_path / "file.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_csv(path)


def test_the_format_of_minimalloc_is_read() -> None:
    problem = read_csv(path_of("A"))
    assert len(problem) == 154
    assert problem.buffers[0] == Buffer("0", 656384, 995328, 1000448)
    assert problem.lower_bound == 1048576


def test_columns_may_have_any_order(tmp_path: Path) -> None:
    problem = reading(
        tmp_path,
        "size,gaps,upper,hint,id,alignment,offset,lower\n"
        "40,3-5 8-9,10,7,a b,8,,0\n"
        "48,,10,-1,c,,16,3\n",
    )
    assert problem.buffers == (
        Buffer("a b", 40, 0, 10, 8, None, ((3, 5), (8, 9))),
        Buffer("c", 48, 3, 10, 1, 16),
    )


def test_other_names_of_columns_are_known(tmp_path: Path) -> None:
    for names in ("buffer,begin,upper,size", "buffer_id,start,upper,size"):
        assert reading(tmp_path, f"{names}\na,1,2,3\n").buffers == (Buffer("a", 3, 1, 2),)


def test_an_end_is_the_last_time_that_counts(tmp_path: Path) -> None:
    problem = reading(tmp_path, "id,start,end,size,gaps\na,0,9,4,3-4\n")
    assert problem.buffers == (Buffer("a", 4, 0, 10, gaps=((3, 5),)),)


def test_lines_may_end_as_on_windows_and_be_empty(tmp_path: Path) -> None:
    problem = reading(tmp_path, "\ufeffid,lower,upper,size\r\n\r\na,0,1,4\r\n\r\n")
    assert problem.buffers == (Buffer("a", 4, 0, 1),)


def test_a_plan_is_a_problem_whose_buffers_are_fixed(tmp_path: Path) -> None:
    problem = read_csv(path_of("C"))
    solution = solve(problem)
    write_csv(tmp_path / "plan.csv", problem, solution)
    again = read_csv(tmp_path / "plan.csv")
    assert {each.name: each.offset for each in again.buffers} == solution.offsets
    assert solve(again).peak == solution.peak
    validate(again, solution)


@given(problem=problems(most=8))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, problem: Problem
) -> None:
    path = tmp_path_factory.mktemp("csv") / "file.csv"
    write_csv(path, problem)
    assert read_csv(path).buffers == problem.buffers


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), unique=True))
def test_any_names_without_line_breaks_come_back(tmp_path: Path, names: list[str]) -> None:
    kept = [name for name in names if not name.splitlines()[1:] and not name.endswith(BREAKS)]
    problem = Problem(Buffer(name, 1, 0, 1) for name in {*kept, "a,b", 'a"b', "", " a "})
    write_csv(tmp_path / "file.csv", problem)
    assert read_csv(tmp_path / "file.csv").buffers == problem.buffers


@pytest.mark.parametrize("name", ["a\nb", "a\u2028b", "a\r", "\n"])
def test_names_that_the_format_cannot_hold_are_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidProblem, match="rename it"):
        write_csv(tmp_path / "file.csv", Problem([Buffer(name, 1, 0, 1)]))
    assert not (tmp_path / "file.csv").exists()


HEADER = "id,lower,upper,size,alignment,gaps,offset\n"


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ("a,0,1,-4,,,\n", "line 2: size is '-4', not a whole number"),
        ("a,0,1,4,,,\nb,-1,1,4,,,\n", "line 3: lower is '-1'"),
        ("a,0,1,4,,,\nb,1,1,4,,,\n", "line 3: buffer 'b' lives from 1 to 1"),
        ("a,0,1,4.5,,,\n", "size is '4.5'"),
        ("a,0,1,,,,\n", "size is ''"),
        ("a,0,1,0x10,,,\n", "size is '0x10'"),
        ("a,0,1,\N{ARABIC-INDIC DIGIT FOUR},,,\n", "not a whole number"),
        ("a,0,1,1_000,,,\n", "not a whole number"),
        (f"a,0,1,{'9' * 19},,,\n", "above 2\\*\\*60"),
        (f"a,0,1,{'9' * 6000},,,\n", r"size is '9{37}\.\.\.', above 2\*\*60; use a larger unit"),
        ("a,0,1,4,0,,\n", "alignment 0"),
        ("a,0,1,4,8,,12\n", "no multiple"),
        ("a,0,9,4,,3,\n", "'3' is not a gap"),
        ("a,0,9,4,,3-4@0:2,\n", "windows"),
        ("a,0,9,4,,5-4,\n", r"gap \[5, 4\)"),
        ("a,0,9,4,,3-6 5-7,\n", "not overlap"),
        ("a,0,9,4\n", "line 2: 4 fields, but the header has 7"),
        ("a,0,9,4,,,,\n", "line 2: 8 fields"),
        ('"a,0,9,4,,,\n', "line 2: unexpected end of data"),
        ('"a"b,0,9,4,,,\n', "line 2: "),
        (f"{'a' * 200_000},0,9,4,,,\n", "field larger"),
        ("a,0,1,4,,,\nb,0,1,4,,,\n\na,2,3,4,,,\n", "line 2, line 5: two buffers are named 'a'"),
        ("a,0,9,4,,,0\nb,0,9,4,,,\nc,8,9,4,,,2\n", "line 2, line 4: buffers 'a' and 'c' are fix"),
        ("a,0,9,4,,,0\0\n", "offset is '0\\\\x00'"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, rows: str, text: str) -> None:
    with pytest.raises(InvalidProblem, match=text) as caught:
        reading(tmp_path, HEADER + rows)
    assert str(tmp_path / "file.csv") in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("id,lower,upper\n", "line 1: there is no column 'size'"),
        ("id,lower,upper,size,size\n", "two columns mean 'size'"),
        ("id,lower,upper,end,size\n", "two columns mean 'upper'"),
        ("id,lower,upper,size,colour\n", "no column is called 'colour'"),
        ("0,1,2,3\n", "no column is called '0'"),
        (b"\x7fELF\x02\xff\xfe", "not a text in UTF-8"),
    ],
)
def test_files_that_are_none_of_this_are_refused(
    tmp_path: Path, content: str | bytes, text: str
) -> None:
    with pytest.raises(InvalidProblem, match=text):
        reading(tmp_path, content)


def test_many_rows_are_read(tmp_path: Path) -> None:
    rows = "".join(f"b{number},{number},{number + 3},64\n" for number in range(100_000))
    problem = reading(tmp_path, f"id,lower,upper,size\n{rows}")
    assert (len(problem), problem.lower_bound) == (100_000, 192)
