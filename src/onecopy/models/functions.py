"""The functions that modules keep as attributes, such as an activation, by their names."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.nn import functional

from onecopy.errors import UnsupportedValue

if TYPE_CHECKING:
    from collections.abc import Callable

# Activations and distances: whatever reads tensors and returns one, and does nothing else.
_FUNCTIONAL: Final = (
    *("celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh"),
    *("leaky_relu", "logsigmoid", "log_softmax", "mish", "normalize", "prelu", "relu", "relu6"),
    *("rrelu", "selu", "sigmoid", "silu", "softmax", "softmin", "softplus", "softshrink"),
    *("softsign", "tanh", "tanhshrink", "cosine_similarity", "pairwise_distance", "dropout"),
)
_TORCH: Final = ("abs", "cos", "erf", "exp", "relu", "sigmoid", "sin", "softmax", "tanh")
_ROPE_MODULE: Final = "transformers.modeling_rope_utils"
_ROPE: Final = f"{_ROPE_MODULE}.ROPE_INIT_FUNCTIONS."


@cache
def _of_torch() -> dict[str, Callable[..., Any]]:
    spaces = (("torch.nn.functional", functional, _FUNCTIONAL), ("torch", torch, _TORCH))
    return {
        f"{prefix}.{name}": getattr(space, name)
        for prefix, space, names in spaces
        for name in names
    }


def _of_transformers() -> dict[str, Callable[..., Any]]:
    """Return how transformers computes rotary embeddings, if its models were imported."""
    module = sys.modules.get(_ROPE_MODULE)
    if module is None:
        return {}
    return {_ROPE + key: function for key, function in module.ROPE_INIT_FUNCTIONS.items()}


def name_of(function: Any) -> str | None:
    """Return what `find` finds a function by, or None if it may not be stored."""
    for table in (_of_torch(), _of_transformers()):
        for name, known in table.items():
            if known is function:
                return name
    return None


def find(name: str) -> Callable[..., Any]:
    """Return the function of that name. Nothing is imported or looked up but in a table."""
    function = _of_torch().get(name) or _of_transformers().get(name)
    if function is None:
        raise UnsupportedValue(
            f"a module refers to the function {name!r}, which is not among those that onecopy "
            "looks up (activations of torch); load its weights into an instance of your own "
            "with load_into"
        )
    return function
