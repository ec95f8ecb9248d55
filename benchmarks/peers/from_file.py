"""The floor: ``torch.from_file`` on a file in /dev/shm. No store, no names, no safety."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers import packed
from benchmarks.peers.base import TorchPeer, arrays, shm_folder


class FromFilePeer(TorchPeer):
    """A flat file for each value; the reader already knows sizes and dtypes."""

    def start(self, root: Path) -> Any:
        """Only a folder in shared memory."""
        self.paths = (str(shm_folder(root) / f"{number}.bin") for number in itertools.count())
        return None

    def save(self, value: Any) -> Any:
        """Plain writes into a fresh file."""
        path = next(self.paths)
        with Path(path).open("wb", buffering=0) as file:
            for array in arrays(value):
                file.write(memoryview(array.numpy()))
        return path, packed.layout(value)

    def drop(self, handle: Any) -> None:
        """Unlink."""
        Path(handle[0]).unlink()

    def load(self, handle: Any) -> Any:
        """Open and map."""
        path, counts = handle
        flat = torch.from_file(path, shared=False, size=sum(counts), dtype=torch.float32)
        return packed.cut(flat, counts)
