from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, weight_norm

from onecopy.errors import UnsupportedValue
from tests.models import zoo
from tests.tensors.roundtrip import roundtrip


def refused(module: nn.Module) -> str:
    """Return why a module cannot be stored."""
    with pytest.raises(UnsupportedValue) as caught:
        roundtrip(module)
    assert "load_into" in str(caught.value)
    return str(caught.value)


def with_attribute(value: object) -> nn.Module:
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    module[1].extra = value
    return module


def test_a_class_that_nobody_allowed_is_named_with_the_remedy() -> None:
    text = refused(nn.Sequential(zoo.Net()))
    assert "0 is of the class tests.models.zoo.Net" in text
    assert "torch.serialization.add_safe_globals([Net])" in text


def test_a_class_defined_in_a_function_is_refused() -> None:
    class Local(nn.Module):
        pass

    assert "Local" in refused(Local())


def test_a_class_that_was_replaced_under_its_name_is_refused() -> None:
    lookalike = type("Linear", (nn.Linear,), {"__module__": "torch.nn.modules.linear"})
    assert "torch.nn.modules.linear.Linear" in refused(lookalike(2, 2))


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (lambda x: x, "1.extra is <function"),
        (print, "1.extra is <built-in function print>"),
        (torch.load, "1.extra is <function load"),
        (threading.Lock(), r"1.extra is of the class _thread.lock"),
        (object(), "1.extra is of the class builtins.object"),
        ([{"deep": object()}], "1.extra.0.deep is of the class builtins.object"),
        (nn.Linear, "1.extra is <class"),
        (b"bytes", "1.extra is of the class builtins.bytes"),
    ],
)
def test_an_attribute_that_is_no_data_is_named(value: object, what: str) -> None:
    assert what in refused(with_attribute(value))


def test_an_attribute_in_an_allowed_class_is_named() -> None:
    with torch.serialization.safe_globals(zoo.ALLOWED):
        assert "act is <function WithLambda" in refused(zoo.WithLambda())


def test_a_replaced_forward_is_refused() -> None:
    module = nn.Linear(2, 2)
    module.forward = module.forward
    assert "forward replaces what torch.nn.modules.linear.Linear defines" in refused(module)


@pytest.mark.parametrize(
    "add",
    [
        lambda module: module.register_forward_hook(print),
        lambda module: module.register_forward_pre_hook(print),
        lambda module: module.register_full_backward_hook(print),
        lambda module: module.register_state_dict_pre_hook(print),
        lambda module: module.weight.register_hook(print),
    ],
)
def test_hooks_are_refused(add: Callable[[nn.Module], object]) -> None:
    module = nn.Linear(2, 2)
    add(module)
    assert "has hooks" in refused(nn.Sequential(module))


def test_a_hook_that_was_removed_is_forgotten() -> None:
    module = nn.Linear(2, 2)
    module.register_full_backward_hook(print).remove()
    roundtrip(module)


def test_parametrizations_are_refused() -> None:
    assert "Parametrized" in refused(parametrizations.weight_norm(nn.Linear(2, 2)))


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_an_old_weight_norm_is_refused() -> None:
    assert "hooks" in refused(weight_norm(nn.Linear(2, 2)))


def test_lazy_modules_are_refused() -> None:
    with pytest.raises(UnsupportedValue, match=r"hooks|Uninitialized"):
        roundtrip(nn.LazyLinear(2))


def test_a_compiled_module_is_refused() -> None:
    assert "OptimizedModule" in refused(torch.compile(nn.Linear(2, 2), backend="eager"))


def test_a_module_compiled_in_place_is_refused() -> None:
    module = nn.Linear(2, 2)
    module.compile(backend="eager")
    assert "_compiled_call_impl" in refused(module)


def test_data_parallel_is_refused() -> None:
    assert "DataParallel" in refused(nn.DataParallel(nn.Linear(2, 2)))


def test_a_module_on_the_meta_device_is_refused() -> None:
    with pytest.raises(UnsupportedValue, match=r"'weight'.*meta"):
        roundtrip(nn.Linear(2, 2, device="meta"))


def test_an_object_whose_state_is_more_than_attributes_is_refused() -> None:
    class Slotted:
        __slots__ = ("x",)

    with torch.serialization.safe_globals([Slotted]):
        assert "whose state is more than attributes" in refused(with_attribute(Slotted()))


def test_a_dead_weak_reference_is_none() -> None:
    module = nn.Linear(2, 2)
    module.gone = weakref.ref(nn.ReLU())
    assert roundtrip(module).gone is None


def test_weak_references_point_at_what_was_loaded() -> None:
    module = roundtrip(nn.LSTM(2, 2))
    assert [ref() for ref in module._flat_weight_refs] == list(module.parameters())
    assert module._flat_weights[0] is module.weight_ih_l0


def test_a_module_nested_too_deep_is_refused() -> None:
    module: nn.Module = nn.Identity()
    for _ in range(2000):
        module = nn.Sequential(module)
    with pytest.raises(UnsupportedValue, match="too deep"):
        roundtrip(module)
