"""What every peer can do. Standard library only: a peer may live in another environment.

A peer has two sides, always in different processes:

- the *saver*: start, value, prepare, save, export, offer, drop, stop
- the *reader*: attach, admit, load, load_many, touch, sweep, free, detach

Only start, save, load and load_many are ever inside a timer (and touch or free where the table says
so); the other steps exist to keep what is not the question out of it.
"""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path
from typing import Any, ClassVar

ITEM = 4  # every tensor is float32


class Peer:
    """One way of handing a tensor to another process on the same host."""

    at_most: ClassVar[int] = 400
    """Loads in one go; the queue holds a descriptor for each value that waits in it."""

    # --- the saver's side

    def start(self, root: Path) -> Any:
        """Start what the peer needs below ``root``; return the picklable address for readers."""
        raise NotImplementedError

    def value(self, sizes: list[int]) -> Any:
        """One array for one size in bytes, a dict of arrays for several."""
        raise NotImplementedError

    def prepare(self, value: Any) -> Any:
        """Called before a timed save, for peers whose save changes the value."""
        return value

    def save(self, value: Any) -> Any:
        """Make ``value`` available to readers; return a handle."""
        raise NotImplementedError

    def export(self, handle: Any) -> Any:
        """The handle as it is sent to a reader."""
        return handle

    def offer(self, handle: Any, count: int) -> None:
        """Announce that ``count`` loads follow. Only a queue has to do something for them."""

    def drop(self, handle: Any) -> None:
        """Let the store forget the value."""

    def loader(self, samples: Any, **options: Any) -> Any:
        """A DataLoader whose batches come this way, for peers that have one."""
        raise NotImplementedError

    def held(self) -> int:
        """Bytes that a store holds at the moment."""
        return 0

    def pids(self) -> list[int]:
        """The processes that serve the store, apart from saver and readers."""
        return []

    def stop(self) -> None:
        """End what ``start`` began."""

    # --- the reader's side

    def attach(self, address: Any) -> None:
        """Connect to what ``start`` started."""

    def admit(self, handle: Any) -> Any:
        """Undo ``export``."""
        return handle

    def load(self, handle: Any) -> Any:
        """The value, ready to use."""
        raise NotImplementedError

    def load_many(self, handles: list[Any]) -> Any:
        """Several values in one call where the peer has such a call."""
        return [self.load(handle) for handle in handles]

    def touch(self, value: Any) -> None:
        """Read the first byte of every array in ``value``."""
        for array in arrays(value):
            self.touch_array(array)

    def touch_array(self, array: Any) -> None:
        """Read the first byte of one array."""
        raise NotImplementedError

    def sweep(self, value: Any) -> float:
        """Read every byte; the sum of all elements."""
        return float(sum(float(array.sum()) for array in arrays(value)))

    def free(self, value: Any) -> None:
        """What must happen before the last reference goes; usually nothing."""

    def detach(self) -> None:
        """Disconnect."""


class TorchPeer(Peer):
    """A peer that stores torch tensors."""

    def value(self, sizes: list[int]) -> Any:
        """Tensors of ones: their sum is the number of their elements."""
        import torch

        return _shaped([torch.ones(size // ITEM) for size in sizes])

    def touch_array(self, array: Any) -> None:
        """Through the pointer: ``tensor[0].item()`` would mostly measure the dispatcher."""
        _ = ctypes.c_ubyte.from_address(array.data_ptr()).value


class NumpyPeer(Peer):
    """A peer that stores numpy arrays."""

    def value(self, sizes: list[int]) -> Any:
        """Arrays of ones: their sum is the number of their elements."""
        import numpy

        return _shaped([numpy.ones(size // ITEM, "f4") for size in sizes])

    def touch_array(self, array: Any) -> None:
        """One element."""
        _ = array[0]


def arrays(value: Any) -> list[Any]:
    """All arrays of a value, which is an array, or a dict or list of values."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [array for part in value for array in arrays(part)]
    return [value]


def shm_name(root: Path) -> str:
    """What a peer's files in /dev/shm begin with, so that the benchmark can remove them."""
    return f"{root.parent.name}-{root.name}"


def shm_folder(root: Path) -> Path:
    """A peer's own folder in /dev/shm."""
    folder = Path("/dev/shm") / shm_name(root)
    folder.mkdir(exist_ok=True)
    return folder


def sweep(root: Path) -> None:
    """Remove what a peer kept in its folder and in /dev/shm."""
    shm = Path("/dev/shm")
    for segment in shm.glob(f"{shm_name(root)}-*"):
        segment.unlink(missing_ok=True)
    shutil.rmtree(shm / shm_name(root), ignore_errors=True)
    shutil.rmtree(root, ignore_errors=True)


def _shaped(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return {f"layer.{number}.weight": part for number, part in enumerate(parts)}
