"""The demo's model as a module of transformers: mapped from a store, or read by transformers."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.base import TorchPeer
from benchmarks.peers.onecopy_store import OnecopyPeer
from onecopy.demo.checkpoint import Checkpoint


class _DemoModel(TorchPeer):
    """There is one value, whatever its size: the folder of the model."""

    def value(self, sizes: list[int]) -> Any:  # noqa: ARG002
        """The folder."""
        return str(Checkpoint.find(None).directory)


class PretrainedPeer(_DemoModel, OnecopyPeer):
    """``onecopy.models.from_pretrained``; the saver is the first worker."""

    def save(self, value: Any) -> Any:
        """Import it."""
        self.load(value)
        return value

    def load(self, handle: Any) -> Any:
        """What a second worker does."""
        from onecopy.models import from_pretrained

        return from_pretrained(self.store, handle)


class TransformersPeer(_DemoModel):
    """``AutoModel.from_pretrained``."""

    def start(self, root: Any) -> Any:  # noqa: ARG002
        """Nothing to start."""
        return None

    def save(self, value: Any) -> Any:
        """It is on disk already."""
        return value

    def attach(self, address: Any) -> None:  # noqa: ARG002
        """No bars on the terminal."""
        from transformers.utils import logging

        logging.disable_progress_bar()

    def load(self, handle: Any) -> Any:
        """The model."""
        from transformers import AutoModel

        return AutoModel.from_pretrained(handle)
