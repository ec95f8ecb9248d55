from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.export import Dim

from onecopy.errors import (
    InvalidArgument,
)
from onecopy.planner import plan
from tests.planner.analysis.modules import Cached, Doubled, Pair, Tied


def test_what_a_call_writes_to_is_state_and_counts_once() -> None:
    shapes = {"x": {0: Dim("n", max=32)}, "cache": {0: Dim("s", min=32, max=64)}}
    planned = plan(Cached(), (torch.ones(4, 8), torch.zeros(40, 8)), dynamic_shapes=shapes)
    assert [each.name for each in planned.state] == ["seen", "cache"]
    assert planned.weights_nbytes == (64 + 8 + 8) * 4
    s, n = planned.dims["s"].symbol, planned.dims["n"].symbol
    standing = 64 * 8 * 4 + 32 * s + 32 * n + planned.weights_nbytes
    assert planned.bytes == standing + 64 * n
    assert all((b.start, b.end) == (0, planned.steps) for b in planned.state)


def test_state_can_be_named() -> None:
    planned = plan(Cached(), (torch.ones(4, 8), torch.zeros(40, 8)), state=["scale", "x"])
    assert [each.name for each in planned.state] == ["seen", "scale", "x", "cache"]
    with pytest.raises(InvalidArgument, match="neither a buffer"):
        plan(Cached(), (torch.ones(4, 8), torch.zeros(40, 8)), state=["caches"])


def test_weights_that_are_tied_count_once() -> None:
    planned = plan(Tied(), (torch.ones(2, 8),))
    assert planned.weights_nbytes == 256
    assert [each.name for each in planned.weights] == ["one.weight"]


def test_an_example_that_is_given_twice_counts_twice() -> None:
    x, n = torch.ones(3), Dim("n", max=9)
    planned = plan(Pair(), (x, x), dynamic_shapes={"x": {0: n}, "y": {0: n}})
    assert str(planned.bytes) == "12*n"
    one, other = planned.inputs_at()[0]
    assert one.data_ptr() != other.data_ptr()


def test_an_input_that_is_a_view_counts_what_is_seen_of_it() -> None:
    whole = torch.ones(50, 8)
    planned = plan(Doubled(), (whole[:, 2:5],), dynamic_shapes={"x": {0: Dim("n", max=60)}})
    assert str(planned.inputs[0].size) == "12*n"


def test_sparse_inputs_are_followed_but_not_counted() -> None:
    class Product(torch.nn.Module):
        def forward(self, a: Any, x: Any) -> Any:
            return torch.sparse.mm(a, x)

    planned = plan(Product(), (torch.eye(4).to_sparse(), torch.ones(4, 2)))
    assert [each.name for each in planned.inputs] == ["x"]
    assert [int(each.size) for each in planned.outputs] == [32]


def test_running_statistics_are_state_in_training_and_weights_after_it() -> None:
    module = torch.nn.BatchNorm2d(3)
    statistics = ["running_mean", "running_var", "num_batches_tracked"]
    training = plan(module.train(), (torch.ones(2, 3, 4, 4),))
    assert [each.name for each in training.state] == statistics
    assert plan(module.eval(), (torch.ones(2, 3, 4, 4),)).state == ()


def test_one_name_by_itself_is_no_list_of_letters() -> None:
    planned = plan(Cached(), (torch.ones(4, 8), torch.zeros(40, 8)), state="scale")
    assert [each.name for each in planned.state] == ["seen", "scale", "cache"]
    shapes = {"x": {0: Dim("long")}}
    assert plan(Doubled(), (torch.ones(3),), dynamic_shapes=shapes, dynamic="long").bytes == 0
    with pytest.raises(InvalidArgument, match="state is a name or a list of names"):
        plan(Doubled(), (torch.ones(3),), state=[3])


def test_tied_weights_on_the_meta_device_count_once_too() -> None:
    with torch.device("meta"):
        tied = Tied()
    assert tied.other.weight is tied.one.weight
    planned = plan(tied, (torch.ones(2, 8, device="meta"),))
    assert planned.weights_nbytes == plan(Tied(), (torch.ones(2, 8),)).weights_nbytes == 256
    assert planned.bytes == plan(Tied(), (torch.ones(2, 8),)).bytes


def test_weights_on_the_meta_device_that_are_not_tied_count_each() -> None:
    """All have the address 0 there: what they share is told by their storage."""
    with torch.device("meta"):
        module = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 8))
    module.register_buffer("first", module[0].weight.detach()[:2])
    planned = plan(module, (torch.ones(2, 8, device="meta"),))
    assert planned.weights_nbytes == 2 * (8 * 8 + 8) * 4


def test_weights_that_no_run_uses_count() -> None:
    module = Doubled()
    module.unused = torch.nn.Linear(8, 8)
    assert plan(module, (torch.ones(3),)).weights_nbytes == (64 + 8) * 4


def test_constants_of_the_module_are_weights() -> None:
    class Table(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.arange(10.0)  # Neither a parameter nor a buffer.

        def forward(self, x: Any) -> Any:
            return self.table[x]

    planned = plan(Table(), (torch.zeros(3, dtype=torch.int64),))
    assert [(each.kind, int(each.size)) for each in planned.weights] == [("weight", 40)]
