"""Copies of what cannot be mapped."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from onecopy.errors import WindowRefused
from onecopy.guests.windows.copied import copied


@pytest.mark.parametrize(
    "value",
    [
        torch.arange(12.0).reshape(3, 4),
        torch.arange(12.0).reshape(3, 4).T,
        torch.arange(12.0).reshape(3, 4)[:, 1:3],
        torch.ones(3).bfloat16(),
        torch.tensor(5),
        torch.nn.Parameter(torch.ones(2)),
        np.arange(12, dtype=np.uint16).reshape(3, 4)[::2],
    ],
)
def test_a_copy_has_the_same_elements(value):
    with copied(value, "r") as source:
        assert source.copied
        assert source.checked()
        assert source.shape == tuple(value.shape)
        buffer = os.pread(source.fd, source.nbytes, source.offset)
        dtype = value.dtype if isinstance(value, torch.Tensor) else torch.uint16
        flat = torch.frombuffer(bytearray(buffer), dtype=dtype)
        assert flat.as_strided(source.shape, source.strides).tolist() == value.tolist()


def test_what_guests_may_write_to_is_said() -> None:
    for access, writable in (("r", False), ("rw", True)):
        with copied(torch.ones(3), access) as source:  # type: ignore[arg-type]
            assert source.writable is writable


def test_the_original_may_change_without_the_copy() -> None:
    value = torch.zeros(4)
    with copied(value, "r") as source:
        value += 1
        assert os.pread(source.fd, 16, source.offset) == bytes(16)


def test_what_runs_backwards_is_refused_with_the_remedy() -> None:
    with pytest.raises(WindowRefused, match="ascontiguousarray"):
        copied(np.arange(5)[::-1], "r")
