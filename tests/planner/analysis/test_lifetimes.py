from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from torch.export import Dim

from onecopy.planner import plan
from onecopy.planner.analysis.export import exported
from tests.planner.analysis import programs
from tests.planner.analysis.rerun import spoilt

# An export takes a second: a few random modules each time, and no search for the smallest one.
SLOW = settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check(module: Any, example: Any, shapes: Any, **values: int) -> None:
    planned = plan(module, example, dynamic_shapes=shapes)
    program = exported(module, example, {}, shapes)
    args, kwargs = planned.inputs_at(**values)
    inputs = torch.utils._pytree.tree_leaves((args, kwargs))
    expected, results, spoiler = spoilt(planned, program, inputs)
    for one, other in zip(expected, results, strict=True):
        if isinstance(one, torch.Tensor):
            assert torch.equal(one.nan_to_num(), other.nan_to_num())
    sizes = planned.sizes(**values)
    assert spoiler.found == {name: sizes[name] for name in spoiler.found}
    assert not spoiler.expected


@SLOW
@given(module=programs.programs(), b=st.integers(2, 6), n=st.integers(2, 40))
def test_memory_is_never_needed_after_its_planned_end_and_has_the_planned_size(
    module: Any, b: int, n: int
) -> None:
    try:
        module(*programs.example())
    except RuntimeError:
        assume(False)
    check(module, programs.example(), programs.bounds(), b=b, n=n)


def test_the_check_notices_a_life_that_ends_too_early() -> None:
    module, shapes = programs.Program([("sine", 0, 0), ("add", 3, 2)], [4]), programs.bounds()
    planned = plan(module, programs.example(), dynamic_shapes=shapes)
    sine = next(buffer for buffer in planned.buffers if buffer.name == "sin")
    planned.buffers = tuple(
        dataclasses.replace(buffer, end=buffer.end - 1) if buffer is sine else buffer
        for buffer in planned.buffers
    )
    program = exported(module, programs.example(), {}, shapes)
    expected, results, _ = spoilt(planned, program, list(programs.example()))
    assert not torch.equal(expected[0], results[0])


class Attended(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(8)
        self.linear = torch.nn.Linear(8, 24)

    def forward(self, x: Any, mask: Any) -> Any:
        q, k, v = self.linear(self.norm(x)).chunk(3, -1)
        parts = [each.unflatten(-1, (2, 4)).transpose(1, 2) for each in (q, k, v)]
        seen = torch.nn.functional.scaled_dot_product_attention(*parts, attn_mask=mask)
        return seen.transpose(1, 2).flatten(2) + x


def test_what_attention_allocates_inside_is_seen() -> None:
    example = (torch.rand(2, 6, 8), torch.ones(6, 6, dtype=torch.bool))
    n = Dim("n", min=2, max=32)
    shapes = {"x": {0: Dim("b", min=2, max=4), 1: n}, "mask": {0: n, 1: n}}
    check(Attended().eval(), example, shapes, b=3, n=17)
    planned = plan(Attended().eval(), example, dynamic_shapes=shapes)
    inside = [buffer for buffer in planned.buffers if buffer.temporary]
    assert any("scaled_dot_product" in buffer.node for buffer in inside)
    assert {buffer.path for buffer in planned.buffers if buffer.op} >= {"", "norm", "linear"}
