"""Plasma, the C++ object store that was part of pyarrow up to version 11."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy
import pyarrow.plasma

from benchmarks.peers.base import NumpyPeer
from benchmarks.peers.processes import end, wait_for_socket

STORE_BYTES = 3 << 30


class PlasmaPeer(NumpyPeer):
    """Single arrays as raw buffers, its fastest way; dicts through its own serializer."""

    def start(self, root: Path) -> Any:
        """The server is a binary of the wheel."""
        address = str(root / "plasma.sock")
        server = Path(sys.executable).parent / "plasma_store"
        self.server = subprocess.Popen(
            [server, "-m", str(STORE_BYTES), "-s", address, "-d", "/dev/shm"]
        )
        wait_for_socket(address, self.server)
        self.attach(address)
        return address

    def save(self, value: Any) -> Any:
        """Create, copy, seal: what its own ``put`` does, without the serializer."""
        if isinstance(value, dict):
            return self.client.put(value), True
        key = pyarrow.plasma.ObjectID.from_random()
        buffer = self.client.create(key, value.nbytes)
        pyarrow.FixedSizeBufferWriter(buffer).write(pyarrow.py_buffer(value))
        self.client.seal(key)
        return key, False

    def export(self, handle: Any) -> Any:
        """An identifier is 20 bytes."""
        return handle[0].binary(), handle[1]

    def drop(self, handle: Any) -> None:
        """Its memory is kept warm for the next one."""
        self.client.delete([handle[0]])

    def pids(self) -> list[int]:
        """The server."""
        return [self.server.pid]

    def stop(self) -> None:
        """End the server."""
        self.client.disconnect()
        end(self.server)

    def attach(self, address: Any) -> None:
        """Connect by path. It warns that it is deprecated, which costs time."""
        warnings.simplefilter("ignore")
        self.client = pyarrow.plasma.connect(address)

    def admit(self, handle: Any) -> Any:
        """The identifier again."""
        return pyarrow.plasma.ObjectID(handle[0]), handle[1]

    def load(self, handle: Any) -> Any:
        """The way it was saved."""
        key, serialized = handle
        if serialized:
            return self.client.get(key)
        [buffer] = self.client.get_buffers([key])
        return numpy.frombuffer(buffer, "f4")

    def load_many(self, handles: list[Any]) -> Any:
        """One call for all."""
        buffers = self.client.get_buffers([key for key, _ in handles])
        return [numpy.frombuffer(buffer, "f4") for buffer in buffers]

    def detach(self) -> None:
        """Disconnect."""
        self.client.disconnect()
