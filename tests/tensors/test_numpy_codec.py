from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis.extra import numpy as npst

from onecopy.errors import UnsupportedValue
from tests.tensors.roundtrip import file_bytes, roundtrip


@given(npst.arrays(npst.scalar_dtypes(), npst.array_shapes(min_dims=0, min_side=0)))
def test_any_array_comes_back_equal(array: np.ndarray) -> None:
    loaded = roundtrip(array)
    assert type(loaded) is np.ndarray
    assert loaded.dtype == array.dtype
    np.testing.assert_array_equal(loaded, array)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12)[::-1],
        np.arange(12).reshape(3, 4)[::-1, ::2],
        np.arange(12).reshape(3, 4).T,
        np.asfortranarray(np.arange(12).reshape(3, 4)),
        np.broadcast_to(np.arange(3), (4, 3)),
        np.arange(5, dtype=">i4"),
        np.array(["a", "bcd"]),
        np.array([b"a", b"bcd"]),
        np.array(["2020-01-01"], dtype="M8[ns]"),
        np.zeros(3, dtype=[("a", "<f4"), ("b", "<i4", (2,)), ("c", [("d", "u1")])]),
        np.zeros(3, dtype=np.longdouble),
        np.array(5),
        np.empty((0, 3)),
        np.zeros(3, dtype="V5"),
    ],
    ids=lambda array: str(array.dtype),
)
def test_any_kind_of_array_comes_back_equal(array: np.ndarray) -> None:
    loaded = roundtrip(array)
    assert loaded.dtype == array.dtype
    np.testing.assert_array_equal(loaded, array)


@pytest.mark.parametrize("scalar", [np.float32(1.5), np.int64(-3), np.bool_(True), np.str_("x")])
def test_a_numpy_scalar_stays_one(scalar: np.generic) -> None:
    loaded = roundtrip(scalar)
    assert type(loaded) is type(scalar)
    assert loaded == scalar


def test_overlapping_views_share_memory_after_a_load() -> None:
    array = np.arange(10)
    loaded = roundtrip({"all": array, "reversed": array[::-1], "part": array[2:5]})
    loaded["all"][2] = 77
    assert loaded["reversed"][7] == 77
    assert loaded["part"][0] == 77


def test_an_array_and_a_tensor_over_one_memory_share_it() -> None:
    array = np.arange(10.0)
    loaded = roundtrip([array, torch.from_numpy(array)])
    loaded[0][3] = -5
    assert loaded[1][3] == -5


def test_a_sparse_view_is_stored_without_its_gaps() -> None:
    large = np.zeros((1000, 1000))
    assert len(file_bytes(large[:, 3])) < 10_000


def test_a_readonly_load_cannot_be_written() -> None:
    loaded = roundtrip(np.arange(5), mode="readonly")
    with pytest.raises(ValueError, match="read-only"):
        loaded[0] = 1


def test_the_memory_behind_an_array_ends_where_the_array_does() -> None:
    loaded = roundtrip(np.arange(5, dtype=np.uint8))
    base = loaded
    while getattr(base, "base", None) is not None:
        base = base.base
    assert memoryview(base).nbytes == 5


@pytest.mark.parametrize("dtype", ["bool", "u1", "i1", "u2", "i4", "u8", "f2", "f4", "f8", "c8"])
def test_safetensors_reads_the_dtypes_that_it_knows(dtype: str) -> None:
    array = np.ones((2, 3), dtype)
    loaded = safetensors.numpy.load(file_bytes({"t": array}))["t"]
    assert loaded.dtype == array.dtype
    np.testing.assert_array_equal(loaded, array)


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array([object()]), "Python objects"),
        (np.zeros(2, dtype=[("a", object)]), "Python objects"),
        (np.ma.masked_array([1, 2], [0, 1]), "subclass"),
        (np.rec.array([(1, 2)], dtype=[("a", int), ("b", int)]), "subclass"),
    ],
    ids=["object", "object field", "masked", "record"],
)
def test_what_cannot_be_stored_says_so(array: np.ndarray, text: str) -> None:
    with pytest.raises(UnsupportedValue, match=text):
        roundtrip(array)


def test_a_memmap_comes_back_as_an_array(tmp_path) -> None:
    array = np.memmap(tmp_path / "file", dtype=np.int32, mode="w+", shape=(4,))
    array[:] = range(4)
    loaded = roundtrip(array)
    assert type(loaded) is np.ndarray
    assert loaded.tolist() == [0, 1, 2, 3]
