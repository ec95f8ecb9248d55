"""The books of a store must balance once all trouble is over."""

from __future__ import annotations

from pathlib import Path

import onecopy
from tests.attacks.patience import eventually
from tests.conftest import open_files


def settled(store: onecopy.Store) -> bool:
    """Say whether only entries count against the capacity: no reservation, nothing lingering."""
    stats = store.stats()
    held = sum(entry.resident for entry in store.stat(store.names()) if entry is not None)
    return (stats.reserved, stats.lingering, stats.used) == (0, 0, held)


def assert_balanced(store: onecopy.Store) -> None:
    """Wait until the store has forgotten all that is not an entry."""
    eventually(lambda: settled(store))


def daemon_files(store: onecopy.Store) -> int:
    """Count the daemon's descriptors, but for those that are entries or connections."""
    stats = store.stats()
    return open_files(store.pid) - stats.entries - stats.clients


def resident_memory(pid: int) -> int:
    """Return the bytes of memory that are a process's own."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024


class Unchanged:
    """Checks at the end of a block that the daemon holds no more descriptors than before."""

    def __init__(self, store: onecopy.Store) -> None:
        self._store = store

    def _count(self) -> int:
        with self._store.lock("taken so that our own process is watched, before and after"):
            return daemon_files(self._store)

    def __enter__(self) -> None:
        self._before = self._count()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            eventually(lambda: self._count() == self._before)
            assert_balanced(self._store)
