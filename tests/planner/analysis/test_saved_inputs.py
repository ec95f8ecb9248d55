from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._pytree import register_pytree_node, tree_flatten

from onecopy.errors import (
    CorruptEntry,
    UnsupportedValue,
)
from onecopy.planner import Plan, plan
from onecopy.planner.analysis.examples import Example
from onecopy.planner.analysis.saved_inputs import SavedInput, example_of, saved_input, tree_text
from tests.planner.analysis.modules import Cached, Doubled


def test_all_kinds_of_arguments_come_back(tmp_path: Path) -> None:
    class Many(torch.nn.Module):
        def forward(self, x: Any, y: Any, flag: Any, more: Any, *, name: str) -> Any:
            return x.float().sum() + y.sum() + more["z"][0]

    args = (
        torch.rand(2, 3).bfloat16().t(),
        torch.zeros(0, 4),
        True,
        {"z": [torch.tensor(3), None]},
    )
    plan(Many(), args, {"name": "a"}).save(tmp_path / "p.plan")
    got, kwargs = Plan.load(tmp_path / "p.plan", Many()).inputs_at()
    assert torch.equal(got[0], args[0])
    assert got[0].stride() == args[0].stride()
    assert got[1].shape == (0, 4)
    assert got[2] is True
    assert got[3]["z"][0] == 3
    assert got[3]["z"][1] is None
    assert kwargs == {"name": "a"}


def test_tensors_on_the_meta_device_stay_there(tmp_path: Path) -> None:
    plan(Doubled(), (torch.ones(2, 3, device="meta"),)).save(tmp_path / "p.plan")
    (x,), _ = Plan.load(tmp_path / "p.plan").inputs_at()
    assert (x.device.type, x.shape) == ("meta", (2, 3))


def test_an_argument_that_no_file_can_carry_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedValue, match="kind is a dtype"):
        saved_input(Example("kind", torch.float64, {}))
    with pytest.raises(UnsupportedValue, match="x is sparse"):
        saved_input(Example("x", torch.ones(2, 2).to_sparse(), {}))


def test_a_container_that_no_file_can_carry_is_refused() -> None:
    class Box:
        pass

    register_pytree_node(Box, lambda box: ([], None), lambda children, context: Box())
    with pytest.raises(UnsupportedValue, match="lists, tuples and dicts"):
        tree_text(tree_flatten(Box())[1])


def test_a_tensor_of_impossible_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.plan"
    plan(Cached(), (torch.rand(4, 8), torch.rand(40, 8))).save(path)
    document = json.loads(path.read_bytes())
    for change in ({"shape": [2**40, 8]}, {"shape": [-4, 8]}, {"dtype": "nn"}, {"data": "eA=="}):
        document["inputs"][0]["tensor"] |= change
        path.write_text(json.dumps(document))
        with pytest.raises(CorruptEntry):
            Plan.load(path)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(0, 4), max_size=4),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.int64, torch.bool]),
    data=st.data(),
)
def test_any_dense_tensor_comes_back_with_its_strides(shape: Any, dtype: Any, data: Any) -> None:
    order = data.draw(st.permutations(range(len(shape))))
    tensor = (torch.rand(shape) * 9).to(dtype).permute(order)
    saved = msgspec.json.decode(
        msgspec.json.encode(saved_input(Example("x", tensor, {}))), type=SavedInput
    )
    back = example_of(saved, {}).value
    assert back.dtype == dtype
    assert torch.equal(back, tensor)
    if tensor.numel():
        assert [s for s, n in zip(back.stride(), back.shape, strict=True) if n > 1] == [
            s for s, n in zip(tensor.stride(), tensor.shape, strict=True) if n > 1
        ]
