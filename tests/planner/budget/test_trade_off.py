from __future__ import annotations

import json

import pytest

from onecopy.errors import BudgetExceeded, InvalidArgument
from onecopy.planner.budget import fit, table
from tests.planner.budget.forms import LLAMA, planned

PLAN = planned(LLAMA, s=(1, None), c=(1, 8192), b=(1, 64))


def test_each_row_is_the_best_for_its_value() -> None:
    rows = table(PLAN, "6GiB", ["s"], by="c", subject_to={"b": 1, "c": (512, 4096)}).rows
    assert list(rows) == [512, 1024, 2048, 4096]
    for chunk, found in rows.items():
        assert found == fit(PLAN, "6GiB", ["s"], {"c": chunk, "b": 1})


def test_what_does_not_fit_is_a_row_too() -> None:
    found = table(PLAN, "3GiB", "s", by="b", subject_to={"c": 512}, at=[1, 60])
    assert found.rows[60] is None
    assert str(found).splitlines()[-1].split() == ["60", "-", "-", "does", "not", "fit"]
    assert json.loads(json.dumps(found.as_dict()))["rows"][1] == {"b": 60, "fit": None}


def test_columns_are_aligned() -> None:
    text = str(table(PLAN, "6GiB", "s", by="c", subject_to={"b": 1}, at=[512, 4096]))
    best = {c: fit(PLAN, "6GiB", "s", {"c": c, "b": 1}).values["s"] for c in (512, 4096)}
    assert [line.split()[:2] for line in text.splitlines()] == [
        ["c", "s"],
        ["512", f"{best[512]:,}"],
        ["4,096", f"{best[4096]:,}"],
    ]
    assert len(set(map(len, text.splitlines()))) == 1


def test_a_value_without_an_end_is_tried_up_to_some_power() -> None:
    rows = table(PLAN, "6GiB", "c", by="s", subject_to={"b": 1}).rows
    assert list(rows)[:4] == [1, 2, 4, 8]
    assert len(rows) < 20


@pytest.mark.parametrize(
    ("lower", "upper", "rows"),
    [
        (0, 9, [0, 1, 2, 4, 8, 9]),
        (1, 8, [1, 2, 4, 8]),
        (3, 4, [3, 4]),
        (4, 4, [4]),
        (5, 7, [5, 7]),
        (0, 0, [0]),
        (0, 1, [0, 1]),
        (1, 1 << 20, [1 << n for n in range(21)]),
    ],
)
def test_rows_are_the_bounds_and_all_powers_of_two_between_them(lower, upper, rows) -> None:
    plan = planned(LLAMA, s=(1, None), c=(lower, upper), b=(1, 64))
    assert list(table(plan, "6TiB", "s", by="c", subject_to={"b": 1}).rows) == rows


def test_if_nothing_fits_at_all_it_says_what_is_needed() -> None:
    with pytest.raises(BudgetExceeded, match="needed at least"):
        table(PLAN, "1GiB", "s", by="c")
    with pytest.raises(InvalidArgument, match="at least one value"):
        table(PLAN, "6GiB", "s", by="c", at=[])
