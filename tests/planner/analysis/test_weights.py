from __future__ import annotations

import pytest
import torch
from torch.export import Dim

from onecopy.errors import BudgetExceeded, InvalidArgument
from onecopy.planner import plan
from onecopy.planner.analysis.weights import (
    check_module,
    check_room,
    check_runnable,
    weights_list_of,
)
from tests.planner.analysis.modules import Doubled, Tied


def test_the_list_has_parameters_and_buffers_of_what_was_compiled_too() -> None:
    module = torch.nn.BatchNorm1d(3)
    names = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert [name for name, _, _ in weights_list_of(module)] == names
    assert weights_list_of(module)[-1] == ("num_batches_tracked", "torch.int64", [])
    assert weights_list_of(torch.compile(module, backend="eager")) == weights_list_of(module)


def test_tied_weights_are_named_once() -> None:
    assert weights_list_of(Tied()) == [("one.weight", "torch.float32", [8, 8])]


def test_what_has_no_weights_is_no_module() -> None:
    check_module(Tied())
    with pytest.raises(InvalidArgument, match=r"nn\.Module, not with dict"):
        check_module({"weight": torch.ones(3)})


def test_what_cannot_be_run_says_why() -> None:
    check_runnable(Tied())
    with pytest.raises(InvalidArgument, match="loaded without its module"):
        check_runnable(None)
    with pytest.raises(InvalidArgument, match="meta device"):
        check_runnable(torch.nn.BatchNorm1d(3, device="meta"))


def test_bounds_that_no_memory_could_hold_are_not_run() -> None:
    check_room(1 << 20)
    endless = {"x": {0: Dim("n", max=2**50)}}
    with pytest.raises(BudgetExceeded, match=r"needs 8192 TiB, .* plan with smaller bounds"):
        plan(Doubled(), (torch.ones(3),), dynamic_shapes=endless).bind()
