"""torch's own DataLoader: tensors travel as files in /dev/shm, anything else is pickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from benchmarks.peers.base import TorchPeer


class TorchLoaderPeer(TorchPeer):
    """It hands over batches, and nothing else."""

    def start(self, root: Path) -> Any:
        """Nothing to start below ``root``."""
        del root

    def loader(self, samples: Any, **options: Any) -> Any:
        """A loader over ``samples``."""
        return DataLoader(samples, **options)
