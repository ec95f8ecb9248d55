from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from onecopy.errors import UnsupportedValue
from tests.tensors.roundtrip import roundtrip


class Foreign:
    """An array of a library that onecopy does not know."""

    def __init__(self, tensor: torch.Tensor, device: int = 1) -> None:
        self._tensor = tensor
        self._device = device

    def __dlpack__(self, **options: object) -> object:
        return self._tensor.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device, 0


def test_a_foreign_array_comes_back_as_a_tensor() -> None:
    tensor = torch.randn(2, 3)
    assert torch.equal(roundtrip(Foreign(tensor)), tensor)


def test_it_shares_memory_with_what_shares_its_memory() -> None:
    tensor = torch.zeros(3)
    loaded = roundtrip([Foreign(tensor), tensor])
    loaded[0][0] = 5
    assert loaded[1][0] == 5


def test_without_torch_it_is_a_numpy_array(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    loaded = roundtrip(Foreign(torch.arange(3.0)))
    assert type(loaded) is np.ndarray
    assert loaded.tolist() == [0, 1, 2]
    assert "torch" in sys.modules


def test_an_array_on_another_device_is_refused() -> None:
    with pytest.raises(UnsupportedValue, match=r"\(2, 0\).*CPU"):
        roundtrip(Foreign(torch.zeros(3), device=2))
