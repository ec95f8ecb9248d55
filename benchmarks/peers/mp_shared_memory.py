"""``multiprocessing.shared_memory``, with a tensor on top."""

from __future__ import annotations

import itertools
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers import packed
from benchmarks.peers.base import TorchPeer, shm_name


class SharedMemoryPeer(TorchPeer):
    """A segment for each value; the reader already knows sizes and dtypes."""

    def start(self, root: Path) -> Any:
        """Names that the runner can find again."""
        self.names = (f"{shm_name(root)}-{number}" for number in itertools.count())
        self.saved: dict[str, SharedMemory] = {}
        return None

    def save(self, value: Any) -> Any:
        """Create and copy."""
        counts = packed.layout(value)
        segment = SharedMemory(next(self.names), create=True, size=packed.nbytes(counts))
        packed.fill(_tensor(segment, sum(counts)), value)
        self.saved[segment.name] = segment
        return segment.name, counts

    def drop(self, handle: Any) -> None:
        """Unmap and unlink."""
        segment = self.saved.pop(handle[0])
        segment.close()
        segment.unlink()

    def stop(self) -> None:
        """Nothing may stay in /dev/shm."""
        for name in list(self.saved):
            self.drop((name, []))

    def load(self, handle: Any) -> Any:
        """The segment comes along: it has to be closed after the last view has gone."""
        name, counts = handle
        segment = SharedMemory(name)
        return [segment, packed.cut(_tensor(segment, sum(counts)), counts)]

    def load_many(self, handles: list[Any]) -> Any:
        """Segments in one list, tensors in another."""
        pairs = [self.load(handle) for handle in handles]
        return [[segment for segment, _ in pairs], [view for _, view in pairs]]

    def touch(self, value: Any) -> None:
        """Skip the segments."""
        super().touch(value[1])

    def sweep(self, value: Any) -> float:
        """Skip the segments."""
        return super().sweep(value[1])

    def free(self, value: Any) -> None:
        """Views first, then the segments: a segment with views refuses to close."""
        segments = value[0] if isinstance(value[0], list) else [value[0]]
        value.clear()
        for segment in segments:
            segment.close()


def _tensor(segment: SharedMemory, count: int) -> Any:
    return torch.frombuffer(segment.buf, dtype=torch.float32, count=count)
