from __future__ import annotations

from typing import Any

import pytest
import torch

from onecopy.planner.analysis.trace import Trace, has_storage, key_of, tensors_in, written_by


def traced(*tensors: Any) -> Trace:
    trace = Trace()
    for number, tensor in enumerate(tensors):
        trace.add(tensor, "op", "", f"t{number}", number)
    return trace


def test_two_tensors_are_one_storage_exactly_if_they_share_memory() -> None:
    one = torch.zeros(4, 4)
    assert key_of(one) == key_of(one[1:]) == key_of(one.t()) == key_of(one.view(-1))
    assert key_of(one) != key_of(one.clone())


def test_a_use_extends_the_life_of_what_a_view_shows_and_never_shortens_it() -> None:
    one, other = torch.zeros(4), torch.zeros(4)
    trace = traced(one, other)
    trace.use([one[2:], torch.zeros(1)], 7)
    trace.use([one], 3)
    assert [each.last_use for each in trace.storages.values()] == [7, 1]


def test_several_storages_of_one_node_have_names_of_their_own() -> None:
    trace = Trace()
    tensors = [torch.zeros(1) for _ in range(3)]
    names = [trace.add(each, "op", "", "split", 0).name for each in tensors]
    assert names == ["split", "split.1", "split.2"]


def test_only_strided_tensors_have_a_storage() -> None:
    dense = torch.ones(2, 2)
    tree = {"a": [dense, dense.to_sparse(), 3], "b": None}
    assert tensors_in(tree) == [dense]
    assert not has_storage(dense.to_sparse())


def test_what_an_operator_writes_to_is_in_its_schema() -> None:
    x, y, aten = torch.ones(2), torch.ones(2), torch.ops.aten
    assert written_by(aten.add.Tensor, (x, y), {}) == []
    assert written_by(aten.add_.Tensor, (x, y), {})[0] is x
    assert written_by(aten.add.out, (x, y), {"out": y})[0] is y


@pytest.mark.parametrize("training", [True, False])
def test_batch_norms_write_to_their_statistics_in_training(training: bool) -> None:
    x, mean, var = torch.ones(2, 3), torch.ones(3), torch.ones(3)
    arguments = (x, None, None, mean, var, training, 0.1, 1e-5)
    found = written_by(torch.ops.aten.native_batch_norm.default, arguments, {})
    assert [id(each) for each in found] == ([id(mean), id(var)] if training else [])
    # Without statistics there is nothing to write to.
    arguments = (x, None, None, None, None, True, 0.1, 1e-5)
    assert written_by(torch.ops.aten.native_batch_norm.default, arguments, {}) == []
