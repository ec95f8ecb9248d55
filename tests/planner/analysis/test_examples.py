from __future__ import annotations

from typing import Any

import torch
from torch.export import Dim

from onecopy.planner import plan
from tests.planner.analysis.modules import Doubled


class Looked(torch.nn.Module):
    """Looks rows up, at places and where a mask says so."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(10, 4)

    def forward(self, ids: Any, mask: Any, scale: Any = None) -> Any:
        return self.table(ids) * mask[..., None]


def planned() -> Any:
    n = Dim("n", max=64)
    ids = torch.tensor([[1, 9, 4]])
    mask = torch.tensor([[True, False, True]])
    return plan(Looked(), (ids, mask), dynamic_shapes={"ids": {1: n}, "mask": {1: n}})


def test_values_are_repeated_so_that_indices_stay_valid() -> None:
    (ids, mask), kwargs = planned().inputs_at(n=7)
    assert ids.tolist() == [[1, 9, 4, 1, 9, 4, 1]]
    assert mask.tolist() == [[True, False, True] * 2 + [True]]
    assert kwargs == {}


def test_a_dimension_that_is_not_given_is_at_its_bound() -> None:
    (ids, _), _ = planned().inputs_at()
    assert ids.shape == (1, 64)


def test_sizes_above_the_bound_are_made_too() -> None:
    (ids, mask), _ = planned().inputs_at(n=100)
    assert planned().module(ids, mask).shape == (1, 100, 4)


def test_inputs_are_copies() -> None:
    example = torch.ones(2, 3)
    made = plan(Doubled(), (example,))
    (x,), _ = made.inputs_at()
    x.zero_()
    assert example.sum() == 6


def test_the_layout_in_memory_is_that_of_the_example() -> None:
    turned = plan(
        Doubled(),
        (torch.ones(3, 4, 5).permute(2, 0, 1),),
        dynamic_shapes={"x": {1: Dim("n", max=9)}},
    )
    (x,), _ = turned.inputs_at(n=6)
    assert x.shape == (5, 6, 4)
    assert x.permute(1, 2, 0).is_contiguous()


def test_an_empty_example_becomes_zeros() -> None:
    made = plan(Doubled(), (torch.ones(0, 3),), dynamic_shapes={"x": {0: Dim("n", max=9)}})
    (x,), _ = made.inputs_at(n=2)
    assert torch.equal(x, torch.zeros(2, 3))
