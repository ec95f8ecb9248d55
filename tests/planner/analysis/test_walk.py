from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.export import Dim

from onecopy.errors import (
    ExportFailed,
)
from onecopy.planner import plan
from onecopy.planner.analysis.walk import on_device
from tests.planner.analysis.modules import Selected


def test_sizes_that_the_data_decides_are_bounded_by_what_they_are_chosen_from() -> None:
    planned = plan(Selected(), (torch.ones(7, 3),), dynamic_shapes={"x": {0: Dim("n", max=12)}})
    sizes = {each.name: str(each.size) for each in planned.buffers}
    assert sizes == {"x": "12*n", "nonzero": "48*n", "add": "48*n"}


def test_a_count_is_bounded_by_what_the_module_states_of_it() -> None:
    class First(torch.nn.Module):
        def forward(self, x: Any, count: Any) -> Any:
            rows = count.item()
            torch._check(rows >= 0)
            torch._check(rows <= x.shape[0])
            return torch.ones(rows, 3)

    shapes = {"x": {0: Dim("n", max=64)}, "count": None}
    planned = plan(First(), (torch.ones(7), torch.tensor(4)), dynamic_shapes=shapes)
    assert [str(each.size) for each in planned.outputs] == ["12*n"]


def test_branches_of_a_condition_are_both_planned() -> None:
    class Either(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.cond(
                x.sum() > 0,
                lambda x: x.sin() + 1,
                lambda x: torch.cat([x, x, x]).cos()[: x.shape[0]] + 1,
                (x,),
            )

    planned = plan(Either(), (torch.ones(4),), dynamic_shapes={"x": {0: Dim("n", max=9)}})
    assert {"sin", "cat"} <= {each.node for each in planned.buffers}
    assert planned.nbytes(n=9) >= 36 + 108 * 2


def test_a_module_on_the_meta_device_is_analysed_as_if_it_ran_on_the_cpu() -> None:
    class Attention(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.nn.functional.scaled_dot_product_attention(x, x, x).sin()

    shapes = {"x": {2: Dim("n", min=2, max=64)}}
    on_meta = plan(Attention(), (torch.ones(1, 2, 8, 4, device="meta"),), dynamic_shapes=shapes)
    here = plan(Attention(), (torch.ones(1, 2, 8, 4),), dynamic_shapes=shapes)
    assert on_meta.bytes == here.bytes


def test_planning_allocates_nothing_of_what_it_plans() -> None:
    class Huge(torch.nn.Module):
        def forward(self) -> Any:
            return torch.empty(2**44, dtype=torch.uint8).sin().sum()

    assert plan(Huge()).nbytes() > 2**44


def test_what_cannot_be_followed_is_refused_by_name() -> None:
    class Mapped(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch._higher_order_ops.map(lambda row: row.sin(), x)

    with pytest.raises(ExportFailed, match=r"the module uses map_impl, which .* unroll it"):
        plan(Mapped(), (torch.ones(4, 3),))


def test_changes_of_mode_within_a_module_are_followed() -> None:
    class Modes(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            with torch.no_grad():
                y = x.sin()
            with torch.autocast("cpu", torch.bfloat16):
                return y @ y.t()

    planned = plan(Modes(), (torch.ones(4, 4),))
    assert [int(each.size) for each in planned.outputs] == [4 * 4 * 2]


def test_buffers_say_which_module_they_come_from() -> None:
    inner = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU())
    planned = plan(torch.nn.Sequential(inner, torch.nn.Linear(3, 3)), (torch.ones(2, 3),))
    assert [each.path for each in planned.buffers if each.op] == ["0.0", "0.1", "1"]


def test_devices_other_than_meta_stay_as_they_are() -> None:
    assert on_device({"device": torch.device("meta"), "a": 1}, "cpu") == {"device": "cpu", "a": 1}
    for kwargs in ({"device": torch.device("cpu")}, {"device": None}, {}):
        assert on_device(kwargs, "cpu") == kwargs
