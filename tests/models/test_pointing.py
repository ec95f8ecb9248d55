from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from onecopy.errors import WeightsMismatch
from onecopy.models.pointing import Incompatible, point
from tests.models import zoo


def weights_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_parameters_stay_the_same_objects_over_the_new_memory() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    before = dict(module.named_parameters()) | dict(module.named_buffers())
    weights = weights_of(module)
    assert point(module, weights, strict=True) == Incompatible([], [])
    after = dict(module.named_parameters()) | dict(module.named_buffers())
    for name, tensor in after.items():
        assert tensor is before[name]
        assert tensor.data_ptr() == weights[name].data_ptr()


def test_an_optimizer_goes_on_with_the_new_memory() -> None:
    module = nn.Linear(2, 2, bias=False)
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0, momentum=0.9)
    weights = {"weight": torch.zeros(2, 2)}
    point(module, weights, strict=True)
    module(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert torch.equal(weights["weight"], torch.full((2, 2), -1.0))


def test_all_differences_are_listed_and_nothing_has_changed() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    before = [parameter.data_ptr() for parameter in module.parameters()]
    weights = weights_of(module)
    weights["0.weight"] = torch.zeros(2, 4)
    weights["0.bias"] = weights["0.bias"].double()
    weights["other"] = weights.pop("1.bias")
    weights["1.weight"] = [1, 2]  # type: ignore[assignment]
    with pytest.raises(WeightsMismatch) as caught:
        point(module, weights, strict=True)
    text = str(caught.value)
    assert "0.weight has the shape (2, 4), in the module (2, 3)" in text
    assert "0.bias is torch.float64, in the module torch.float32" in text
    assert "missing: 1.bias" in text
    assert "unexpected: other" in text
    assert "1.weight is a list, not a tensor" in text
    assert [parameter.data_ptr() for parameter in module.parameters()] == before


def test_names_may_differ_when_it_is_not_strict() -> None:
    module = nn.Linear(2, 2)
    weights = {"weight": torch.zeros(2, 2), "more": torch.ones(1)}
    found = point(module, weights, strict=False)
    assert found == (["bias"], ["more"])
    assert (found.missing_keys, found.unexpected_keys) == (["bias"], ["more"])
    assert module.weight.sum() == 0


def test_shapes_must_fit_even_when_it_is_not_strict() -> None:
    with pytest.raises(WeightsMismatch, match="shape"):
        point(nn.Linear(2, 2), {"weight": torch.zeros(3, 3)}, strict=False)


def test_a_mismatch_is_the_error_that_load_state_dict_raises() -> None:
    with pytest.raises(RuntimeError):
        point(nn.Linear(2, 2), {}, strict=True)


def test_a_tied_parameter_stays_tied() -> None:
    module = zoo.tied()
    weights = weights_of(module)
    weights["head.weight"] = weights["embedding.weight"]
    point(module, weights, strict=True)
    assert module["head"].weight is module["embedding"].weight


@pytest.mark.parametrize("absent", ["head.weight", "embedding.weight"])
def test_a_tied_parameter_needs_one_of_its_names(absent: str) -> None:
    module = zoo.tied()
    weights = weights_of(module)
    del weights[absent]
    assert point(module, weights, strict=True) == ([], [])


def test_a_tied_parameter_with_two_equal_copies_uses_one() -> None:
    module = zoo.tied()
    point(module, weights_of(module), strict=True)
    assert module["head"].weight is module["embedding"].weight


def test_a_tied_parameter_with_two_values_is_refused() -> None:
    module = zoo.tied()
    weights = weights_of(module)
    weights["head.weight"] += 1
    with pytest.raises(WeightsMismatch, match="one tensor in the module, with two values"):
        point(module, weights, strict=True)


def test_weights_that_are_tied_do_not_tie_a_module_behind_its_back() -> None:
    module = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    one = torch.ones(2, 2)
    weights = {"0.weight": one, "1.weight": one}
    with pytest.raises(WeightsMismatch, match="tie them"):
        point(module, weights, strict=True)
    point(module, weights, strict=False)


@pytest.mark.parametrize("kind", ["transformer", "lstm", "batch norm", "buffers"])
def test_a_module_on_the_meta_device_gets_its_weights(kind: str) -> None:
    make, inputs = zoo.TORCH[kind]
    whole = make()
    with torch.device("meta"):
        module = make()
    module.train(whole.training)
    weights = weights_of(whole) | dict(whole.named_buffers())
    point(module, weights, strict=True)
    assert not any(t.is_meta for t in (*module.parameters(), *module.buffers()))
    result, expected = module(*inputs), whole(*inputs)
    while isinstance(result, tuple):
        result, expected = result[0], expected[0]
    assert torch.equal(result, expected)


def test_a_parameter_on_the_meta_device_stays_the_same_object() -> None:
    with torch.device("meta"):
        module = zoo.tied()
    parameter = module["head"].weight
    parameter.requires_grad_(False)
    parameter.note = "kept"
    point(module, weights_of(zoo.tied()), strict=True)
    assert module["head"].weight is parameter is module["embedding"].weight
    assert parameter.device.type == "cpu"
    assert not parameter.requires_grad
    assert parameter.note == "kept"


def test_a_buffer_that_no_state_dict_has_is_left_alone() -> None:
    module = zoo.with_buffers()
    weights = weights_of(module) | {"computed": torch.zeros(5, dtype=torch.int64)}
    point(module, weights, strict=True)
    assert module.computed.tolist() == [0, 1, 2, 3, 4]


def test_lazy_parameters_are_refused() -> None:
    with pytest.raises(WeightsMismatch, match="UninitializedParameter"):
        point(nn.LazyLinear(2), {"weight": torch.ones(2, 2)}, strict=False)


def test_a_copy_of_the_module_keeps_its_own_memory() -> None:
    module = nn.Linear(2, 2)
    clone = copy.deepcopy(module)
    point(module, {"weight": torch.zeros(2, 2), "bias": torch.zeros(2)}, strict=True)
    assert clone.weight.abs().sum() > 0
