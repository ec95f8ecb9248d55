from __future__ import annotations

from collections import OrderedDict, namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import CorruptEntry, UnsupportedValue
from onecopy.tensors import tree
from onecopy.tensors.codec import Segment
from tests.tensors.roundtrip import roundtrip

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8)
)
KEYS = st.one_of(st.text(max_size=5), st.integers(), st.booleans(), st.none())
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4).map(OrderedDict),
    ),
    max_leaves=12,
)


def kinds(value: object) -> object:
    if isinstance(value, dict):
        return type(value), [(kinds(key), kinds(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [kinds(item) for item in value]
    return type(value)


@given(TREES)
def test_nested_values_come_back_with_their_types(value: object) -> None:
    loaded = roundtrip(value)
    assert loaded == value
    assert kinds(loaded) == kinds(value)


Point = namedtuple("Point", "x y")


class Text(str):
    pass


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [1, object()]}, "'a.1': builtins.object cannot"),
        ({"a": {1, 2}}, "'a'"),
        ([Point(1, 2)], "'0'"),
        ({"x": {"y": Text("z")}}, "'x.y'"),
        ({"f": len}, "'f'"),
        ([1j], "'0'"),
        (object(), "the value:"),
    ],
)
def test_what_cannot_be_stored_is_named_by_its_path(value: object, path: str) -> None:
    with pytest.raises(UnsupportedValue, match=path):
        roundtrip(value)


def test_a_key_that_is_no_scalar_is_refused() -> None:
    with pytest.raises(UnsupportedValue, match=r"'a' has the key \(1, 2\)"):
        roundtrip({"a": {(1, 2): 3}})


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(UnsupportedValue, match="contain itself"):
        roundtrip(value)


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(UnsupportedValue, match="cannot be stored"):
        roundtrip(["\ud800"])


def test_names_that_clash_in_the_file_both_come_back() -> None:
    value = {"a": {"b": np.arange(3)}, "a.b": np.arange(4), "__metadata__": np.arange(5)}
    loaded = roundtrip(value)
    assert loaded["a"]["b"].tolist() == [0, 1, 2]
    assert loaded["a.b"].tolist() == [0, 1, 2, 3]
    assert loaded["__metadata__"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "node",
    [
        [],
        [99],
        ["x"],
        [0],
        [0, "buffer", ["B", [1]], [5, 0]],
        [0, "buffer", ["B", [1]], [0, 9]],
        [0, "buffer", ["B", [-1]], [0, 0]],
        [0, "buffer", ["zz", [1]], [0, 0]],
        [0, "buffer", None, None],
        [0, "buffer", ["B", [1]], ["a", "b"]],
        [3, "key without a value"],
        [3, [1], 2],
        [5, "not a number"],
        [0, "torch", ["float32", [2]], [0, 0]],
        [0, "torch", ["float32", [1], [-1], 0], [0, 0]],
        [0, "torch", ["float99", [1]], [0, 0]],
        [0, "torch", ["float32", [10**12]], []],
        [0, "numpy", [0, "<f4", [2], None, 0], [0, 0]],
        [0, "numpy", [0, "O", [1], None, 0], [0, 0]],
        [0, "numpy", [0, "<f4", [1], [4], -8], [0, 0]],
    ],
    ids=str,
)
def test_a_tree_that_lies_is_corrupt(node: object) -> None:
    from onecopy.segments import region
    from onecopy.segments.mapping import map_fd

    fd = region.create("test", 4)
    segment = Segment(map_fd(fd, 4), 0, [(0, 4)], "private")
    with pytest.raises((CorruptEntry, UnsupportedValue)):
        tree.decode(node, segment)
