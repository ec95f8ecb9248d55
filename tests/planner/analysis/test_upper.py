from __future__ import annotations

from typing import Any

import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.export import Dim

from onecopy.errors import (
    ExportFailed,
    InvalidBounds,
)
from onecopy.planner import plan
from onecopy.planner.analysis.upper import relations_of, upper_bound
from tests.planner.analysis.expressions import BOX, M, N, expressions, points, value


def test_relations_that_the_module_states_bound_sizes() -> None:
    class Rest(torch.nn.Module):
        def forward(self, x: Any, y: Any) -> Any:
            torch._check(x.shape[0] >= y.shape[0])
            return x.new_empty(x.shape[0] - y.shape[0] + 2 * y.shape[0])

    bounds = {"x": {0: Dim("n", min=4, max=12)}, "y": {0: Dim("m", min=4, max=50)}}
    with pytest.raises(ExportFailed, match="narrow the bounds"):
        plan(Rest(), (torch.ones(9), torch.ones(5)), dynamic_shapes=bounds)
    bounds["y"][0] = Dim("m", min=4, max=12)
    planned = plan(Rest(), (torch.ones(9), torch.ones(5)), dynamic_shapes=bounds)
    assert [str(each) for each in planned.relations] == ["n >= m"]
    assert planned.outputs[0].upper == 4 * 24


@settings(max_examples=60, deadline=None)
@given(
    expression=expressions(),
    relation=st.sampled_from([(), (N >= M,), (M >= N,), (N <= 2 * M,), (N >= 9 * M,)]),
)
def test_a_bound_is_the_largest_value_where_the_relations_hold(
    expression: Any, relation: Any
) -> None:
    concerned = [each for each in relation if each.free_symbols & expression.free_symbols]
    held = [p for p in points() if all(each.subs(p) == True for each in concerned)]  # noqa: E712
    if not held:
        with pytest.raises(InvalidBounds, match="the module states that"):
            upper_bound(expression, BOX, relation)
        return
    expected = max(value(expression, point) for point in held)
    assert upper_bound(expression, BOX, relation) == expected


def test_a_size_without_a_bound_has_none() -> None:
    assert upper_bound(N * M, {N: (0, float("inf")), M: (0, 3)}, []) is None
    assert upper_bound(4 * M, {N: (0, float("inf")), M: (0, 3)}, []) == 12


def test_relations_without_a_constant_are_kept_and_others_are_not() -> None:
    class Known:
        translated = staticmethod(lambda statement: statement)

    stated = [N >= M, N >= M + 1, N >= 3, sympy.Eq(N, M), 2 * N <= M, N >= M]
    assert relations_of(stated, Known()) == (N >= M, 2 * N <= M)  # type: ignore[arg-type]
