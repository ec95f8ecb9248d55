from __future__ import annotations

import pytest
import torch

from onecopy.tensors.torch_dtypes import DTYPES, NAMES, itemsize, label, seen_by_others


@pytest.mark.parametrize("name", sorted(DTYPES))
def test_every_name_is_torch_s_own(name: str) -> None:
    dtype, nbytes = DTYPES[name]
    assert str(dtype) == f"torch.{name}"
    assert NAMES[dtype] == name
    assert itemsize(name) == nbytes == dtype.itemsize


@pytest.mark.parametrize("name", sorted(DTYPES))
def test_other_readers_see_as_many_bits_as_there_are(name: str) -> None:
    seen, shape = seen_by_others(name, [3, 2])
    assert shape is not None
    bits = 4 if seen == "F4" else int("".join(c for c in seen.split("_")[0] if c.isdigit()) or 8)
    count = shape[0] * shape[1] * (shape[2] if len(shape) == 3 else 1)
    assert count * bits == 6 * DTYPES[name][1] * 8


def test_a_dtype_without_a_name_for_one_element_has_no_label() -> None:
    assert label(torch.float32) == "F32"
    assert label(torch.complex128) is None  # a pair of F64
    assert label(torch.quint8) is None
    assert itemsize("quint8") is None
