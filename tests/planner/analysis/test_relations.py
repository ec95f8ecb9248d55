from __future__ import annotations

from typing import Any

import hypothesis
import pytest
import sympy
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch.export import Dim

from onecopy.errors import (
    ExportFailed,
    InvalidBounds,
    UnboundedDimension,
)
from onecopy.planner import plan
from onecopy.planner.analysis.export import exported
from onecopy.planner.analysis.relations import finite
from tests.planner.analysis.modules import Doubled, Pair
from tests.planner.analysis.rerun import spoilt


def test_dimensions_keep_the_names_that_the_caller_gave() -> None:
    shapes = {"x": {0: Dim("batch", min=1, max=8), 1: Dim("length", max=16)}}
    planned = plan(Doubled(), (torch.ones(2, 3),), dynamic_shapes=shapes)
    assert {(d.name, d.lower, d.upper) for d in planned.dims.values()} == {
        ("batch", 1, 8),
        ("length", 0, 16),
    }
    assert str(planned.bytes) == "8*batch*length"


def test_an_unnamed_dimension_without_a_bound_is_refused_by_its_place() -> None:
    with pytest.raises(UnboundedDimension, match="'x_0'"):
        plan(Doubled(), (torch.ones(3),), dynamic_shapes={"x": {0: Dim.DYNAMIC}})
    planned = plan(Doubled(), (torch.ones(3),), dynamic_shapes={"x": {0: Dim.DYNAMIC(max=9)}})
    assert planned.dims["x_0"].upper == 9


def test_an_example_outside_of_its_bounds_is_refused() -> None:
    with pytest.raises(InvalidBounds, match=r"example for x .* 9 .* at most 8"):
        plan(Doubled(), (torch.ones(9),), dynamic_shapes={"x": {0: Dim("n", max=8)}})
    with pytest.raises(InvalidBounds, match="at least 4"):
        plan(Doubled(), (torch.ones(3),), dynamic_shapes={"x": {0: Dim("n", min=4, max=8)}})


def test_one_name_with_two_pairs_of_bounds_is_refused() -> None:
    shapes = {"x": {0: Dim("n", max=8), 1: Dim("n", max=9)}}
    with pytest.raises(InvalidBounds, match="twice"):
        plan(Doubled(), (torch.ones(2, 3),), dynamic_shapes=shapes)


def test_a_derived_dimension_is_an_expression_in_its_root() -> None:
    n = Dim("n", max=8)
    shapes = {"x": {0: 2 * n + 1}}
    planned = plan(Doubled(), (torch.ones(7),), dynamic_shapes=shapes)
    assert list(planned.dims) == ["n"]
    assert str(planned.bytes) == "16*n + 8"
    (x,), _ = planned.inputs_at(n=5)
    assert x.shape == (11,)


def test_examples_of_one_dimension_have_one_size() -> None:
    n = Dim("n", max=8)
    with pytest.raises(InvalidBounds, match="n is 3 in the example for x, but 4 in that for y"):
        plan(Pair(), (torch.ones(3), torch.ones(4)), dynamic_shapes={"x": {0: n}, "y": {0: n}})


@given(bound=st.integers(-(2**70), 2**70))
def test_bounds_of_torch_are_numbers_or_none(bound: int) -> None:
    assert finite(sympy.Integer(bound)) == finite(bound) == (bound if bound < 2**62 else None)
    assert finite(sympy.oo) is finite(float("inf")) is None


OPERATORS: dict[str, Any] = {
    "cat": lambda x, y: torch.cat([x, y]),
    "half": lambda x, y: x[: x.shape[0] // 2].sin(),
    "every second": lambda x, y: x[::2] + 1,
    "padded": lambda x, y: torch.nn.functional.pad(x, (1, 2)),
    "repeated": lambda x, y: x.repeat(2),
    "product": lambda x, y: (x[:, None] * y[None, :3]).flatten(),
    "sum": lambda x, y: x.sum(0, keepdim=True),
    "mean of two": lambda x, y: (x.sum() + y).cos(),
}


class Sized(torch.nn.Module):
    """Applies operators that change sizes; `ordered` if it needs an x that is as long as y."""

    def __init__(self, steps: Any, ordered: bool) -> None:
        super().__init__()
        self.steps, self.ordered = steps, ordered

    def forward(self, x: Any, y: Any, z: Any) -> Any:
        found = [x, y, z]
        if self.ordered:
            torch._check(x.shape[0] >= y.shape[0])
            found.append(x[: y.shape[0]] + y)
        for name, first, second in self.steps:
            found.append(OPERATORS[name](found[first % len(found)], found[second % len(found)]))
        return found[-1] * 2, found[3:]


steps = st.tuples(st.sampled_from(sorted(OPERATORS)), st.integers(0, 9), st.integers(0, 9))

N = M = range(3, 8)


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    steps=st.lists(steps, min_size=1, max_size=4), ordered=st.booleans(), chosen=st.integers(0, 24)
)
# The walk took the length of what is padded from the example: m was 4, and n ≥ m was lost.
@hypothesis.example(
    steps=[("product", 6, 8), ("padded", 9, 3), ("every second", 3, 7)], ordered=True, chosen=0
)
def test_sizes_at_all_shapes_are_those_of_an_independent_run(
    steps: Any, ordered: bool, chosen: int
) -> None:
    """Two dimensions and a derived one, with n ≥ m if it is ordered: plans against real tensors."""
    module = Sized(steps, ordered)
    n, m = Dim("n", min=N[0], max=N[-1]), Dim("m", min=M[0], max=M[-1])
    shapes = {"x": {0: n}, "y": {0: m}, "z": {0: 2 * m}}
    example = (torch.rand(6), torch.rand(4), torch.rand(8))
    try:
        planned = plan(module, example, dynamic_shapes=shapes)
    except ExportFailed as error:
        assert "Suggested fixes" in str(error)  # noqa: PT017
        return
    program = exported(module, example, {}, shapes)
    allowed = [(a, b) for a in N for b in M if not ordered or a >= b]
    held = [
        (a, b) for a in N for b in M
        if all(each.subs({"n": a, "m": b, planned.dims["n"].symbol: a,
                          planned.dims["m"].symbol: b}) for each in planned.relations)
    ]  # fmt: skip
    assert held == allowed
    corners = [p for p in allowed if p[0] in (N[0], N[-1]) and p[1] in (M[0], M[-1])]
    for a, b in {*corners, allowed[chosen % len(allowed)]}:
        expected, results, spoiler = spoilt(planned, program, list(planned.inputs_at(n=a, m=b)[0]))
        assert all(torch.equal(*pair) for pair in zip(expected, results, strict=True))
        sizes = planned.sizes(n=a, m=b)
        assert spoiler.found == {name: sizes[name] for name in spoiler.found}
    for each in planned.buffers:
        assert each.upper == max(planned.sizes(n=a, m=b)[each.name] for a, b in allowed)
