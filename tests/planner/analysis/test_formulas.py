from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from onecopy.planner.analysis.formulas import formula, parsed
from tests.planner.analysis.expressions import M, N, expressions

SYMBOLS = {"n": N, "m": M}


@settings(max_examples=60, deadline=None)
@given(expression=expressions())
def test_what_comes_back_is_what_went_in(expression: Any) -> None:
    assert parsed(formula(expression), SYMBOLS) == expression


@pytest.mark.parametrize(
    "tree",
    [
        "z",
        None,
        True,
        1.5,
        [],
        ["+"],
        ["exec", "n"],
        ["__import__('os')", 1],
        ["/", 1, 0],
        ["/", "n", "m"],
        ["**", "n", 10**9],
        ["**", 10, 10**9],
        ["floor", "n", "m"],
    ],
)
def test_what_is_no_size_is_refused(tree: Any) -> None:
    with pytest.raises(ValueError, match="expression"):
        parsed(tree, SYMBOLS)


def test_trees_that_are_too_deep_are_refused() -> None:
    tree: Any = "n"
    for _ in range(500):
        tree = ["floor", tree]
    with pytest.raises(ValueError, match="expression"):
        parsed(tree, SYMBOLS)
