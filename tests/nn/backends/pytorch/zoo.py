"""Small models of torch, made on the spot, and files of them."""

from __future__ import annotations

import dataclasses
import warnings
from collections import namedtuple
from pathlib import Path

import torch
from torch import nn

from onecopy.nn.backends import registry
from onecopy.nn.backends.backend import Source

Pair = namedtuple("Pair", "left right")


@dataclasses.dataclass
class Record:
    score: torch.Tensor
    label: torch.Tensor | None = None


class Forward(nn.Module):
    """A module whose forward is a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


class Named(nn.Module):
    """Arguments by name, as models of transformers have them."""

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        scale: float = 1.0,
        return_dict: bool | None = None,
    ):
        found = input_ids.float() * scale
        if attention_mask is not None:
            found = found * attention_mask
        return {"plain": found, "biased": found if bias is None else found + bias}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


def load(path: Path, *, foreign: bool = False, **options):
    source = Source(backend="pytorch", files=(str(path),), foreign=foreign, options=options)
    return registry.find("pytorch").load(source)


def entry(store, name: str, **options):
    source = Source(backend="pytorch", store=store.name, entry=name, options=options)
    return registry.find("pytorch").load(source)


def exported(path: Path, module: nn.Module, *inputs, free: bool = False, **named) -> Path:
    """Write a `.pt2`; with `free`, the first dimension of all inputs varies together."""
    rows = torch.export.Dim("rows", min=1, max=4096)
    shapes = tuple({0: rows} for _ in inputs) if free else None
    torch.export.save(torch.export.export(module, inputs, named, dynamic_shapes=shapes), path)
    return path


def scripted(path: Path, module: nn.Module, *inputs) -> Path:
    """Write TorchScript, traced with inputs or compiled without."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.trace(module, inputs) if inputs else torch.jit.script(module)
        torch.jit.save(made, path)
    return path
