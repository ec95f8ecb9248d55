from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from onecopy.errors import UnsupportedValue
from onecopy.models import functions


@pytest.mark.parametrize("function", [functional.relu, functional.gelu, torch.tanh, torch.relu])
def test_an_activation_is_found_by_its_name(function: object) -> None:
    name = functions.name_of(function)
    assert name is not None
    assert functions.find(name) is function


def test_every_function_of_the_table_takes_tensors_and_gives_one() -> None:
    table = functions._of_torch()
    x = torch.rand(2, 4)
    more = {"prelu": (torch.ones(1),), "pairwise_distance": (x,), "cosine_similarity": (x,)}
    more |= {"softmax": (-1,), "softmin": (-1,), "log_softmax": (-1,)}
    for name, function in table.items():
        result = function(x, *more.get(name.rpartition(".")[2], ()))
        assert isinstance(result, torch.Tensor), name


@pytest.mark.parametrize("function", [torch.load, print, len, lambda x: x, torch.nn.Linear, 3])
def test_other_things_have_no_name(function: object) -> None:
    assert functions.name_of(function) is None


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnsupportedValue, match=r"torch\.load.*load_into"):
        functions.find("torch.load")


def test_rotary_embeddings_of_transformers_are_found() -> None:
    rope = pytest.importorskip("transformers.modeling_rope_utils")
    for function in rope.ROPE_INIT_FUNCTIONS.values():
        name = functions.name_of(function)
        assert name is not None
        assert functions.find(name) is function
