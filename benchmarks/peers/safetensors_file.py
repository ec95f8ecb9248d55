"""safetensors: ``save_file`` and ``load_file`` on a file in /dev/shm."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from benchmarks.peers.base import TorchPeer, shm_folder


class SafetensorsPeer(TorchPeer):
    """One file for each value."""

    def start(self, root: Path) -> Any:
        """Only a folder in shared memory."""
        self.paths = (
            str(shm_folder(root) / f"{number}.safetensors") for number in itertools.count()
        )
        return None

    def save(self, value: Any) -> Any:
        """A lone tensor becomes a dict of one."""
        path = next(self.paths)
        save_file(value if isinstance(value, dict) else {"value": value}, path)
        return path

    def drop(self, handle: Any) -> None:
        """Unlink."""
        Path(handle).unlink()

    def load(self, handle: Any) -> Any:
        """A dict of tensors."""
        return load_file(handle)
