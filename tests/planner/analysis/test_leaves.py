from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.export import Dim

from onecopy.errors import (
    InvalidArgument,
)
from onecopy.planner import plan
from onecopy.planner.analysis.leaves import Leaf, completed, leaves_of
from tests.planner.analysis.modules import Doubled


def test_arguments_must_fit() -> None:
    with pytest.raises(InvalidArgument, match="do not fit"):
        plan(Doubled(), (torch.ones(3), 4))
    with pytest.raises(InvalidArgument, match="dynamic_shapes names z"):
        plan(Doubled(), (torch.ones(3),), dynamic_shapes={"z": {0: Dim("n", max=3)}})
    with pytest.raises(InvalidArgument, match="axis 1 of x"):
        plan(Doubled(), (torch.ones(3),), dynamic_shapes={"x": {1: Dim("n", max=3)}})
    with pytest.raises(InvalidArgument, match=r"nn\.Module"):
        plan(len, (torch.ones(3),))


def test_keyword_arguments_and_containers_are_followed() -> None:
    class Nested(torch.nn.Module):
        def forward(self, pairs: Any, *more: Any, scale: Any = 1, extra: Any) -> Any:
            return pairs["a"][0] * scale + more[0] + extra

    n = Dim("n", max=9)
    planned = plan(
        Nested(),
        ({"a": [torch.ones(3)], "b": None}, torch.ones(3)),
        {"scale": 2.0, "extra": torch.ones(3)},
        dynamic_shapes={
            "pairs": {"a": [{0: n}], "b": None},
            "more": ({0: n},),
            "scale": None,
            "extra": {0: n},
        },
    )
    assert [each.name for each in planned.inputs] == ["pairs['a'][0]", "more[0]", "extra"]
    (pairs, more), kwargs = planned.inputs_at(n=7)
    assert (pairs["a"][0].shape, more.shape, kwargs["extra"].shape) == ((7,),) * 3
    assert kwargs["scale"] == 2.0


class Takes(torch.nn.Module):
    """Takes whatever it is given, by all kinds of parameters."""

    def forward(self, first: Any, *rest: Any, flag: Any = None, **more: Any) -> Any:
        return first


tensors = st.builds(lambda rows: torch.zeros(rows, 2), st.integers(1, 3))
values = st.recursive(
    tensors | st.none() | st.integers(0, 3) | st.sampled_from(["a", True, 0.5]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(
    args=st.lists(values, min_size=1, max_size=3).map(tuple),
    kwargs=st.dictionaries(st.sampled_from(["flag", "x", "y"]), values, max_size=3),
)
def test_they_are_in_the_order_in_which_torch_flattens(args: Any, kwargs: Any) -> None:
    leaves = leaves_of(Takes(), args, kwargs, None)
    expected = torch.utils._pytree.tree_leaves((args, kwargs))
    assert len(leaves) == len(expected)
    assert all(leaf.value is value for leaf, value in zip(leaves, expected, strict=True))
    paths = [leaf.path for leaf in leaves]
    assert len(set(paths)) == len(paths)


@given(
    args=st.lists(values, min_size=1, max_size=3).map(tuple),
    kwargs=st.dictionaries(st.sampled_from(["flag", "x", "y"]), values, max_size=3),
)
def test_completed_shapes_have_the_structure_of_the_arguments(args: Any, kwargs: Any) -> None:
    bound = inspect.signature(Takes().forward).bind(*args, **kwargs).arguments
    assert completed(Takes(), args, kwargs, {}) == torch.utils._pytree.tree_map(
        lambda _: None, dict(bound)
    )


def test_arguments_that_are_not_named_do_not_vary() -> None:
    class Nested(torch.nn.Module):
        def forward(self, pairs: Any, other: Any, flag: Any = False) -> Any:
            return pairs["a"][0] * other["c"] if flag else other["c"]

    one, n = torch.ones(3, 3), Dim("n", max=9)
    arguments = ({"a": [one, one], "b": one}, {"c": torch.ones(3, 3)}, True)
    for shapes in ({"pairs": {"a": [{1: n}]}, "other": {"c": {1: n}}}, [{"a": [{1: n}]}]):
        if isinstance(shapes, list):
            shapes.append({"c": {1: n}})
        planned = plan(Nested(), arguments, dynamic_shapes=shapes)
        sizes = {each.name: str(each.size) for each in planned.inputs}
        assert sizes == {
            "pairs['a'][0]": "12*n", "pairs['a'][1]": "36", "pairs['b']": "36", "other['c']": "12*n"
        }  # fmt: skip
        (pairs, _, flag), _ = planned.inputs_at(n=5)
        assert (pairs["a"][0].shape, pairs["b"].shape, flag) == ((3, 5), (3, 3), True)


def test_names_of_axes_are_identifiers() -> None:
    assert Leaf("cache['k'][0]", None, {}).axis_name(1) == "cache_k_0__1"
    assert Leaf("lambda", None, {}).axis_name(None) == "_lambda"


def test_one_tensor_is_no_list_of_arguments() -> None:
    with pytest.raises(InvalidArgument, match=r"a tuple, as \(ids,\), not Tensor"):
        plan(Doubled(), torch.ones(3))
    with pytest.raises(InvalidArgument, match="a dict by parameter, not Tensor"):
        plan(Doubled(), (), torch.ones(3))
