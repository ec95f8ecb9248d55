"""Ray's object store: ``ray.put`` in one driver, ``ray.get`` in another one."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle

from benchmarks.peers.base import NumpyPeer, Peer, TorchPeer
from benchmarks.peers.processes import descendants

STORE_BYTES = 3 << 30


class _RayPeer(Peer):
    def start(self, root: Path) -> Any:
        """A cluster of one node, without the dashboard and without reports."""
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        context: Any = ray.init(
            num_cpus=1,
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            _temp_dir=str(root / "ray"),
            logging_level="ERROR",
            log_to_driver=False,
        )
        self.daemons = descendants(os.getpid())
        return context.address_info["address"]

    def save(self, value: Any) -> Any:
        """The reference is the handle."""
        return ray.put(value)

    def export(self, handle: Any) -> Any:
        """References travel only as ray pickles them."""
        return cloudpickle.dumps(handle)

    def pids(self) -> list[int]:
        """Raylet, control store and their helpers."""
        return self.daemons

    def stop(self) -> None:
        """End the cluster."""
        ray.shutdown()

    def attach(self, address: Any) -> None:
        """A second driver."""
        ray.init(address=address, logging_level="ERROR", log_to_driver=False)

    def admit(self, handle: Any) -> Any:
        """The reference again."""
        return pickle.loads(handle)

    def load(self, handle: Any) -> Any:
        """One object."""
        return ray.get(handle)

    def load_many(self, handles: list[Any]) -> Any:
        """One call for all."""
        return ray.get(handles)

    def detach(self) -> None:
        """Leave the cluster."""
        ray.shutdown()


class RayNumpyPeer(_RayPeer, NumpyPeer):
    """numpy arrays, which ray returns without a copy, read-only."""


class RayTorchPeer(_RayPeer, TorchPeer):
    """torch tensors, which ray pickles."""
