"""A ``torch.multiprocessing`` queue: each load takes the next message out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing

from benchmarks.peers.base import TorchPeer, arrays


class TorchQueuePeer(TorchPeer):
    """``save`` moves the tensors to shared memory, ``offer`` puts them, ``load`` gets one."""

    at_most = 40

    def start(self, root: Path) -> Any:  # noqa: ARG002
        """The queue is the address: readers inherit it."""
        self.queue: Any = torch.multiprocessing.get_context("spawn").Queue()
        self.saved: dict[int, Any] = {}
        return self.queue

    def prepare(self, value: Any) -> Any:
        """A tensor moves to shared memory once, so each save needs a new one."""
        if isinstance(value, dict):
            return {name: tensor.clone() for name, tensor in value.items()}
        return value.clone()

    def save(self, value: Any) -> Any:
        """Move to shared memory: the copy."""
        for tensor in arrays(value):
            tensor.share_memory_()
        self.saved[id(value)] = value
        return id(value)

    def offer(self, handle: Any, count: int) -> None:
        """One message for each load."""
        for _ in range(count):
            self.queue.put(self.saved[handle])

    def drop(self, handle: Any) -> None:
        """Forget the tensors."""
        del self.saved[handle]

    def stop(self) -> None:
        """Do not wait for messages that nobody takes."""
        self.queue.cancel_join_thread()
        self.queue.close()

    def attach(self, address: Any) -> None:
        """The inherited queue."""
        self.queue = address

    def load(self, handle: Any) -> Any:  # noqa: ARG002
        """Whatever is next."""
        return self.queue.get(timeout=60)
