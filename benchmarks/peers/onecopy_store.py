"""onecopy itself, through its public functions only, measured by the same code as its peers."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any, ClassVar

import onecopy
from benchmarks.peers.base import TorchPeer


class OnecopyPeer(TorchPeer):
    """Private (copy-on-write) loads, the default."""

    mode: ClassVar[str | None] = None
    mutable: ClassVar[bool] = False

    def start(self, root: Path) -> Any:
        """The daemon has started when it has answered."""
        self._use(str(root / "run"))
        self.names = (f"bench/{number}" for number in itertools.count())
        self.store: Any = onecopy.start("bench", capacity="8GiB")
        self.store.names()
        return [str(root / "run")]

    def save(self, value: Any) -> Any:
        """Under a new name each time."""
        name = next(self.names)
        self.store.save(name, value, mutable=self.mutable)
        return name

    def drop(self, handle: Any) -> None:
        """Its memory goes with the last reader."""
        self.store.remove(handle)

    def loader(self, samples: Any, **options: Any) -> Any:
        """A loader over ``samples``."""
        from onecopy.data import DataLoader

        return DataLoader(samples, store=self.store, **options)

    def held(self) -> int:
        """Removed batches count until the daemon has seen that nobody uses them."""
        used: int = self.store.stats().used
        return used

    def pids(self) -> list[int]:
        """The daemon."""
        return [self.store.pid]

    def stop(self) -> None:
        """The daemon goes with its owner."""
        self.store.close()

    def attach(self, address: Any) -> None:
        """Connect by name."""
        self._use(address[0])
        self.store = onecopy.connect("bench", timeout=30)

    def load(self, handle: Any) -> Any:
        """One entry."""
        return self.store.load(handle, mode=self.mode)

    def load_many(self, handles: list[Any]) -> Any:
        """One call for all names."""
        return self.store.load(handles, mode=self.mode)

    def detach(self) -> None:
        """Disconnect."""
        self.store.close()

    @staticmethod
    def _use(runtime: str) -> None:
        os.environ["ONECOPY_RUNTIME_DIR"] = runtime


class ReadonlyPeer(OnecopyPeer):
    """Loads that alias the sealed entry and must not be written to."""

    mode = "readonly"


class SharedPeer(OnecopyPeer):
    """Loads that alias a mutable entry."""

    mode = "shared"
    mutable = True
