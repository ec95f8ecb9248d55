"""vineyard: one server on this host, with its metadata kept locally instead of in etcd."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path
from typing import Any

import vineyard

from benchmarks.peers.base import NumpyPeer
from benchmarks.peers.processes import end, wait_for_socket

STORE_SIZE = "3Gi"


class VineyardPeer(NumpyPeer):
    """Its Python client's ``put`` and ``get``."""

    def start(self, root: Path) -> Any:
        """The server is a binary of the wheel."""
        address = str(root / "vineyard.sock")
        options = ["--meta", "local", "--rpc=false", "--size", STORE_SIZE, "--socket", address]
        logs = {"GLOG_log_dir": str(root)}
        self.server = subprocess.Popen([_server(), *options], env=os.environ | logs)
        wait_for_socket(address, self.server)
        self.attach(address)
        return address

    def save(self, value: Any) -> Any:
        """A numpy array, or a dict of them."""
        return self.client.put(value)

    def export(self, handle: Any) -> Any:
        """A number."""
        return int(handle)

    def drop(self, handle: Any) -> None:
        """Its memory is kept warm for the next one."""
        self.client.delete(handle)

    def pids(self) -> list[int]:
        """The server."""
        return [self.server.pid]

    def stop(self) -> None:
        """End the server."""
        self.client.close()
        end(self.server)

    def attach(self, address: Any) -> None:
        """Connect by path."""
        self.client = vineyard.connect(address)

    def admit(self, handle: Any) -> Any:
        """The identifier again."""
        return vineyard.ObjectID(handle)

    def load(self, handle: Any) -> Any:
        """One object."""
        return self.client.get(handle)

    def detach(self) -> None:
        """Disconnect."""
        self.client.close()


def _server() -> Path:
    spec = importlib.util.find_spec("vineyard.bdist")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the vineyard wheel has no server; reinstall vineyard-bdist")
    return Path(spec.submodule_search_locations[0]) / "vineyardd"
