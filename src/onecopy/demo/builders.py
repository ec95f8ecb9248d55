"""A ready model, built in each of the three ways that the demo compares.

Imports torch and transformers: for worker processes only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from transformers import AutoConfig, AutoModel

import onecopy
from onecopy.demo.variant import Variant


def build(variant: Variant, directory: Path, store: str, entry: str) -> Any:
    """Build the model, ready to embed, with its weights from where `variant` says."""
    if variant is Variant.STORE:
        return from_store(directory, store, entry)
    return from_file(directory) if variant is Variant.FILE else private_copy(directory)


def from_file(directory: Path) -> Any:
    """The model as transformers loads it; its weights may stay mapped from the file."""
    return AutoModel.from_pretrained(directory, dtype="auto").eval()


def private_copy(directory: Path) -> Any:
    """The model with weights in memory of its own, as after any cast or conversion of them."""
    model = from_file(directory)
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    return model


def from_store(directory: Path, store: str, entry: str) -> Any:
    """The model whose weights are the store's own bytes; nothing is copied."""
    with onecopy.connect(store, timeout=30) as connection:
        weights = connection.load(entry)
    return adopt(skeleton(directory), weights)


def skeleton(directory: Path) -> Any:
    """The module tree with parameters that nobody initialised, so that they cost no memory.

    Buffers such as `position_ids`, which no checkpoint holds, are computed as always.
    """
    config = AutoConfig.from_pretrained(directory)
    with _SkipInitialisation():
        return AutoModel.from_config(config).eval()


def adopt(model: Any, weights: Mapping[str, Any]) -> Any:
    """Make `weights` the model's parameters, without copying any.

    What the checkpoint lacks and no tie provides (a pooling head, say) is set to zero.
    """
    named = match_names(model, weights)
    model.load_state_dict(named, strict=False, assign=True)
    model.tie_weights()
    _zero_what_is_missing(model, named)
    return model.requires_grad_(False)


def match_names(model: Any, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the model's weights, where a checkpoint with a head puts a prefix before each name."""
    prefix = f"{model.base_model_prefix}."
    found = {}
    for name in model.state_dict():
        if (known := next((n for n in (name, prefix + name) if n in weights), None)) is not None:
            found[name] = weights[known]
    return found


def _zero_what_is_missing(model: Any, given: Mapping[str, Any]) -> None:
    known = {tensor.data_ptr() for tensor in given.values()}
    for parameter in model.parameters():
        if parameter.data_ptr() not in known:
            parameter.data.zero_()


_RANDOM = {"normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "xavier_uniform_"}


class _SkipInitialisation(TorchFunctionMode):  # type: ignore[misc]
    """Ignore whatever would write to a parameter.

    The meta device does the same for the parameters, but leaves buffers without values.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        # Tensor methods pass what they write to first; those of torch.nn.init name it.
        target = args[0] if args else kwargs.get("tensor")
        return target if _initialises(func, target) else func(*args, **kwargs)


def _initialises(func: Any, target: Any) -> bool:
    name = getattr(func, "__name__", "")
    writes = name.endswith("_") and not name.endswith("__")
    # Random numbers are for parameters, even if they are reached through `parameter.data`.
    return writes and (isinstance(target, torch.nn.Parameter) or name in _RANDOM)
