from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.export import Dim
from torch.nn import functional

from onecopy.planner import plan
from onecopy.planner.analysis.composites import lost_sizes
from onecopy.planner.analysis.export import exported
from tests.planner.analysis.rerun import spoilt

IMAGES, ROWS = torch.rand(3, 4, 10, 12), torch.rand(6, 10)
IMAGE_DIMS = {0: Dim("b", min=2, max=64), 2: Dim("h", min=6, max=64), 3: Dim("w", min=6, max=64)}
ROW_DIMS = {0: Dim("b", min=2, max=64), 1: Dim("s", min=4, max=64)}
ROW_STEPS = torch.rand(3, 6, 4)

# In C++ these take plain numbers where sizes vary, or ask for them on the way.
OPERATORS: dict[str, tuple[Any, Any, Any]] = {
    "nearest": (IMAGES, IMAGE_DIMS, lambda x: functional.interpolate(x, scale_factor=2)),
    "bilinear": (
        IMAGES,
        IMAGE_DIMS,
        lambda x: functional.interpolate(x, size=(x.shape[2] * 2, x.shape[3]), mode="bilinear"),
    ),
    "bicubic": (
        IMAGES,
        IMAGE_DIMS,
        lambda x: functional.interpolate(x, scale_factor=(0.5, 3), mode="bicubic", antialias=True),
    ),
    "reflected": (IMAGES, IMAGE_DIMS, lambda x: functional.pad(x, (1, 2, 1, 1), mode="reflect")),
    "neighbours": (IMAGES, IMAGE_DIMS, lambda x: functional.local_response_norm(x, 2)),
    "padded": (ROWS, ROW_DIMS, lambda x: functional.pad(x[:, None, :2].flatten(), (1, 2))),
    "spectrum": (
        ROWS,
        ROW_DIMS,
        lambda x: torch.stft(x, 4, window=torch.ones(4), return_complex=True).abs(),
    ),
    "inverse": (ROWS, {0: Dim("b", min=2, max=64)}, lambda x: torch.fft.irfft(torch.fft.rfft(x))),
}


class Applied(torch.nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


@pytest.mark.parametrize("name", OPERATORS)
def test_dimensions_vary_that_an_operator_asks_for_as_numbers(name: str) -> None:
    example, dims, function = OPERATORS[name]
    module, shapes = Applied(function), {"x": dims}
    planned = plan(module, (example,), dynamic_shapes=shapes)
    assert planned.relations == ()
    program = exported(module, (example,), {}, shapes)
    for size in (7, 16):
        values = dict.fromkeys(planned.dims, size)
        inputs = list(planned.inputs_at(**values)[0])
        expected, results, spoiler = spoilt(planned, program, inputs)
        assert all(torch.equal(*pair) for pair in zip(expected, results, strict=True))
        sizes = planned.sizes(**values)
        assert spoiler.found == {name: sizes[name] for name in spoiler.found}


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU])
def test_batches_of_recurrent_modules_vary(kind: Any) -> None:
    shapes = {"input": {0: Dim("b", min=2, max=64)}}
    planned = plan(kind(4, 5, batch_first=True), (ROW_STEPS,), dynamic_shapes=shapes)
    outputs = [str(each.size) for each in planned.outputs]
    assert outputs in (["120*b", "20*b"], ["120*b", "20*b", "20*b"])


def test_a_size_that_became_a_number_is_noticed() -> None:
    varying = exported(Applied(torch.sin), (ROWS,), {}, {"x": ROW_DIMS}).graph.find_nodes(
        op="placeholder"
    )[0]
    expected = varying.meta["val"]
    assert not lost_sizes([expected, 3], [expected, 3])
    assert lost_sizes(ROWS, expected)
    assert not lost_sizes(ROWS, ROWS)
    assert not lost_sizes(None, None)
