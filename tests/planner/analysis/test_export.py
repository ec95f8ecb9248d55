from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.export import Dim

from onecopy.errors import (
    ExportFailed,
)
from onecopy.planner import plan
from onecopy.planner.analysis.export import exported
from tests.planner.analysis.modules import Doubled, Pair


def test_what_torch_refuses_is_told_with_a_remedy() -> None:
    shapes = {"x": {0: Dim("n", max=8)}, "y": {0: Dim("m", max=8)}}
    with pytest.raises(ExportFailed, match=r"Pair: .*equal.*use one torch.export.Dim for both"):
        plan(Pair(), (torch.ones(3), torch.ones(3)), dynamic_shapes=shapes)

    class Branching(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    with pytest.raises(ExportFailed, match=r"torch\.cond"):
        plan(Branching(), (torch.ones(3),))


def refusal(module: Any, args: Any, shapes: Any = None) -> str:
    with pytest.raises(ExportFailed) as caught:
        exported(module, args, {}, shapes)
    return str(caught.value)


class Calls(torch.nn.Module):
    """Does with its argument what it is told to."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


class DynamicCache:
    """Is called as the one of transformers, and no more known to torch."""


def test_a_cache_in_the_result_is_left_out_by_use_cache() -> None:
    assert "use_cache=False" in refusal(Calls(lambda x: DynamicCache()), (torch.ones(3),))


def test_what_torch_does_not_know_is_to_be_registered() -> None:
    class Box:
        pass

    assert "register_dataclass" in refusal(Calls(lambda x: Box()), (torch.ones(3),))


def test_numpy_cannot_be_followed() -> None:
    numpy = Calls(lambda x: torch.from_numpy(x.numpy() + 1))
    assert "use operators of torch" in refusal(numpy, (torch.ones(3),))


def test_an_error_of_the_module_itself_is_named() -> None:
    def fails(x: Any) -> Any:
        raise KeyError("weights")

    text = refusal(Calls(fails), (torch.ones(3),))
    assert "refuses Calls: KeyError: 'weights'; check that the module runs with the ex" in text


def test_sizes_that_vary_are_dims() -> None:
    text = refusal(Doubled(), (torch.ones(3),), {"x": {0: "batch"}})
    assert "torch.export.Dim(name, max=…)" in text


def test_what_only_double_stars_take_cannot_vary() -> None:
    class Loose(torch.nn.Module):
        def forward(self, **given: Any) -> Any:
            return given["z"] + 1

    shapes = {"given": {"z": {0: Dim("n", max=8)}}}
    with pytest.raises(ExportFailed, match="a parameter of that name"):
        exported(Loose(), (), {"z": torch.ones(3)}, shapes)


def test_torchs_hints_to_its_own_developers_are_left_out() -> None:
    text = refusal(Calls(lambda x: torch.zeros(int(x.sum()))), (torch.ones(3),))
    assert "data-dependent expression" in text
    for noise in ("TORCHDYNAMO", "https://", "unhinted", "Size-like", "Caused by"):
        assert noise not in text


def test_sizes_at_which_it_does_something_else_are_to_be_left_out() -> None:
    spectrum = Calls(lambda x: torch.fft.fft(x, dim=0).abs())
    text = refusal(spectrum, (torch.ones(6, 8),), {"x": {0: Dim("n", min=1, max=20)}})
    assert "!= 8" in text
    assert "raise `min` or lower `max` until the guard holds" in text
    exported(spectrum, (torch.ones(12, 8),), {}, {"x": {0: Dim("n", min=9, max=20)}})
