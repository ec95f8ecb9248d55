"""Where a tensor, an array or a buffer lies, and what is in it."""

from __future__ import annotations

import array
import ctypes

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import WindowRefused
from onecopy.guests.windows.tensor_view import view_of

NAMES = {
    "F16": (torch.float16, np.float16, "e"),
    "F32": (torch.float32, np.float32, "f"),
    "F64": (torch.float64, np.float64, "d"),
    "U8": (torch.uint8, np.uint8, "B"),
    "I8": (torch.int8, np.int8, "b"),
    "I16": (torch.int16, np.int16, "h"),
    "U16": (torch.uint16, np.uint16, "H"),
    "I32": (torch.int32, np.int32, "i"),
    "U32": (torch.uint32, np.uint32, "I"),
    "I64": (torch.int64, np.int64, "q"),
    "U64": (torch.uint64, np.uint64, "Q"),
    "BOOL": (torch.bool, np.bool_, "?"),
}


@pytest.mark.parametrize("name", NAMES)
def test_all_libraries_call_an_element_the_same(name: str) -> None:
    in_torch, in_numpy, code = NAMES[name]
    values = [
        torch.zeros(3, dtype=in_torch),
        np.zeros(3, in_numpy),
        memoryview(bytes(24)).cast(code)[:3] if code != "e" else np.zeros(3, "e").data,
    ]
    for each in map(view_of, values):
        assert (each.dtype, each.shape, each.strides) == (name, (3,), (1,))


def test_it_says_where_the_first_element_is() -> None:
    tensor, numbers = torch.arange(12.0), array.array("i", range(5))
    assert view_of(tensor[3:]).address == tensor.data_ptr() + 12
    assert view_of(numbers).address == numbers.buffer_info()[0]
    assert ctypes.c_int.from_address(view_of(numbers).address + 8).value == 2


def test_a_text_of_bytes_and_a_single_number_have_a_shape() -> None:
    assert view_of(b"text").shape == (4,)
    assert view_of(torch.tensor(5.0)).shape == ()
    assert view_of(torch.tensor(5.0)).nbytes == 4


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_its_bytes_end_with_the_last_element(shape: list[int], order) -> None:
    axes = list(range(len(shape)))
    order.shuffle(axes)
    tensor = torch.arange(float(np.prod(shape))).reshape(shape).permute(axes)
    view = view_of(tensor)
    assert view.nbytes == tensor.nbytes
    assert view.byte_strides == [4 * each for each in view.strides]
    assert torch.equal(tensor.as_strided(view.shape, view.strides), tensor)


def test_strides_that_do_not_matter_are_those_of_a_contiguous_tensor() -> None:
    assert view_of(torch.ones(3).as_strided((1, 3), (77, 1))).strides == (3, 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.ones(0), "at least one byte"),
        (torch.ones(2, dtype=torch.complex64), "element type"),
        (np.array(["a"]), "element type"),
        (torch.eye(2).to_sparse(), "dense"),
        (torch.ones(2, device="meta"), "on the CPU"),
        (torch.ones(2, dtype=torch.complex64).conj(), "resolve it"),
        (np.zeros(2, "i4,i1")["f0"], "no multiples"),
        ({"a": 1}, r"guests\.part"),
    ],
)
def test_what_no_window_can_show_is_refused_with_the_remedy(value: object, text: str) -> None:
    with pytest.raises(WindowRefused, match=text):
        view_of(value)
