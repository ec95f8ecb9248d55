"""The cases of TVM's tests for its memory planning pass, as graphs of torch.export.

What TVM allocates is in each test (apache/tvm, pull request 16111 and the pass's own tests).
Results are left out where TVM leaves them out.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.export import Dim

from onecopy.errors import InvalidBounds, UnboundedDimension
from onecopy.planner import plan, solve
from tests.planner.analysis.modules import Chain, Doubled


def arena(planned: Any, **options: Any) -> int:
    return solve(planned.problem(alignment=1, **options)).peak


def test_a_static_chain_needs_72_bytes_and_a_result_of_40() -> None:
    planned = plan(Chain(), (torch.ones(2, 4),))
    assert arena(planned, outputs=False) == 32 + 40
    assert [int(each.size) for each in planned.outputs] == [40]


def test_a_chain_with_an_upper_bound_needs_72_bytes_too() -> None:
    planned = plan(Chain(), (torch.ones(2, 3),), dynamic_shapes={"x": {1: Dim("n", min=2, max=4)}})
    assert arena(planned, outputs=False) == 32 + 40
    assert arena(planned, outputs=False, n=2) == 16 + 24


def test_a_chain_with_only_a_lower_bound_stays_symbolic() -> None:
    shapes = {"x": {1: Dim("n", min=2)}}
    with pytest.raises(UnboundedDimension, match="'n'"):
        plan(Chain(), (torch.ones(2, 3),), dynamic_shapes=shapes)
    planned = plan(Chain(), (torch.ones(2, 3),), dynamic_shapes=shapes, dynamic=("n",))
    n = planned.dims["n"].symbol
    assert {each.size for each in planned.buffers} == {8 * n, 8 * n + 8}
    assert all(not each.planned for each in planned.buffers)
    assert arena(planned, outputs=False, n=1000) == 8000 + 8008


def test_two_dtypes_share_their_memory() -> None:
    class TwoTypes(torch.nn.Module):
        def forward(self, x: Any, y: Any) -> Any:
            a = x + x
            b = y + y + a.sum().int()
            return b.sum()

    planned = plan(TwoTypes(), (torch.ones(2, 3), torch.ones(2, 3, dtype=torch.int32)))
    # TVM keeps one of 24 for each type; here the first is gone when the second comes.
    assert arena(planned, outputs=False) <= 24 + 24 + 8


def test_workspace_that_grows_with_the_batch_is_bounded_by_it() -> None:
    class Scanned(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            workspace = torch.empty(2 * x.numel() * 4 + 4194304, dtype=torch.uint8)
            return x.cumsum(-1) + workspace[0]

    shapes = {"x": {0: Dim("b", min=2, max=32), 1: Dim("v", min=2, max=1000)}}
    planned = plan(Scanned(), (torch.ones(3, 5),), dynamic_shapes=shapes)
    workspace = max(planned.buffers, key=lambda each: each.upper)
    assert workspace.upper == 32 * 1000 * 4 * 2 + 4194304
    assert planned.sizes(v=70)[workspace.name] == 32 * 70 * 4 * 2 + 4194304


def test_views_cost_nothing() -> None:
    class Viewed(torch.nn.Module):
        def forward(self) -> Any:
            x = torch.empty(16, 16)
            y = x.view(-1)[:128].exp()
            return y.exp()

    planned = plan(Viewed(), ())
    assert arena(planned, outputs=False) == 1024 + 512


def test_a_size_that_falls_in_one_dimension_has_its_true_maximum() -> None:
    class Falling(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.exp().exp().exp()

    class Made(Falling):
        def forward(self, x: Any, y: Any) -> Any:
            n, m = x.shape[0], y.shape[0]
            return super().forward(torch.empty(n, m, torch.sym_max(n - m, 1)))

    shapes = {"x": {0: Dim("n", max=20)}, "y": {0: Dim("m", max=5)}}
    planned = plan(Made(), (torch.ones(9), torch.ones(4)), dynamic_shapes=shapes)
    # TVM multiplies the bounds of the factors: 8000 twice.
    assert arena(planned, outputs=False) == 6000 * 2


def test_a_size_may_depend_on_one_bounded_and_one_unbounded_dimension() -> None:
    shapes = {"x": {0: Dim("n", max=20), 1: Dim("m")}}
    planned = plan(Doubled(), (torch.ones(3, 4),), dynamic_shapes=shapes, dynamic=["m"])
    assert arena(planned, m=7) == 80 * 7
    assert planned.bytes == 0
    assert {each.name for each in planned.unplanned} == {"x", "mul"}


@pytest.mark.parametrize(("lower", "upper"), [(-5, 4), (-3, -1)])
def test_invalid_bounds_are_refused(lower: int, upper: int) -> None:
    with pytest.raises(InvalidBounds, match="'n'"):
        plan(Doubled(), (torch.ones(3),), dynamic_shapes={"x": {0: Dim("n", min=lower, max=upper)}})
