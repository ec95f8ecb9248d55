"""``torch.save`` and ``torch.load`` on a file in /dev/shm, mapped or copied."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, ClassVar

import torch

from benchmarks.peers.base import TorchPeer, shm_folder


class TorchLoadMapped(TorchPeer):
    """``torch.load(mmap=True)``."""

    mapped: ClassVar[bool] = True

    def start(self, root: Path) -> Any:
        """Only a folder in shared memory."""
        self.paths = (str(shm_folder(root) / f"{number}.pt") for number in itertools.count())
        return None

    def save(self, value: Any) -> Any:
        """A zip file with a pickle and the bytes."""
        path = next(self.paths)
        torch.save(value, path)
        return path

    def drop(self, handle: Any) -> None:
        """Unlink."""
        Path(handle).unlink()

    def load(self, handle: Any) -> Any:
        """Tensors only, as it is the default."""
        return torch.load(handle, mmap=self.mapped, weights_only=True)


class TorchLoadCopied(TorchLoadMapped):
    """``torch.load``: a private copy for each process, as most servers do it today."""

    mapped = False
