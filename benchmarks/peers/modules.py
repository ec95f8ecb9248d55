"""Whole modules: ours, and what one does with a safetensors file today."""

from __future__ import annotations

from typing import Any

import torch
from safetensors.torch import load_file, save_file

from benchmarks.peers.base import ITEM, TorchPeer
from benchmarks.peers.onecopy_store import OnecopyPeer
from benchmarks.peers.safetensors_file import SafetensorsPeer


class _Modules(TorchPeer):
    """Values are modules with a layer for each size, whose weights are ones."""

    def value(self, sizes: list[int]) -> Any:
        """Built without initialising what is then set to one."""
        module = _skeleton(sizes).to_empty(device="cpu")
        for parameter in module.parameters():
            torch.nn.init.ones_(parameter)
        return module

    def sweep(self, value: Any) -> float:
        """Every parameter."""
        return super().sweep([parameter.data for parameter in value.parameters()])


class ModulePeer(_Modules, OnecopyPeer):
    """``save_module`` and ``load_module``."""

    def save(self, value: Any) -> Any:
        """Under a new name each time."""
        name = next(self.names)
        self.store.save_module(name, value)
        return name

    def load(self, handle: Any) -> Any:
        """The module."""
        return self.store.load_module(handle)


class AssignedPeer(_Modules, SafetensorsPeer):
    """``load_file``, a module on the meta device, ``load_state_dict(assign=True)``."""

    def save(self, value: Any) -> Any:
        """The weights as a file; how to build the module, the reader has to know."""
        path = next(self.paths)
        save_file(value.state_dict(), path)
        return path, [parameter.numel() * ITEM for parameter in value.parameters()]

    def drop(self, handle: Any) -> None:
        """Unlink."""
        super().drop(handle[0])

    def load(self, handle: Any) -> Any:
        """The module."""
        path, sizes = handle
        module = _skeleton(sizes)
        module.load_state_dict(load_file(path), assign=True)
        return module


def _skeleton(sizes: list[int]) -> Any:
    with torch.device("meta"):
        layers = [torch.nn.Linear(size // ITEM, 1, bias=False) for size in sizes]
        return torch.nn.Sequential(*layers)
