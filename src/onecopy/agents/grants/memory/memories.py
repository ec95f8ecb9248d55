"""The memories of all agents of a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from onecopy.agents.grants.memory.embedder import StoreEmbedder
from onecopy.agents.grants.memory.memory import Memory
from onecopy.agents.grants.memory.segments import Segments
from onecopy.agents.grants.memory.texts import MemoryDatabase

if TYPE_CHECKING:
    from onecopy.agents.grants.memory.embedder import Embedder
    from onecopy.agents.manifest.grants import MemoryGrant
    from onecopy.store.client import Store


class Memories:
    """What memories have in common: a file, a store, and an embedder.

        memories = Memories(folder / "memory.sqlite", store)
        memory = memories.of(manifest.grants.memory, manifest.name)
        memories.close()

    Args:
        path: of the file; it is created.
        store: where vectors are searched, and the embedder's model is (`save_embedder`).
        embedder: another one than that.

    Raises:
        InvalidArgument: the file cannot be opened.
    """

    def __init__(self, path: Path, store: Store, embedder: Embedder | None = None) -> None:
        self._database = MemoryDatabase(path)
        self._segments = Segments(store)
        self._own: StoreEmbedder | None = None
        if embedder is None:
            embedder = self._own = StoreEmbedder(store)
        self._embedder = embedder

    def of(self, grant: MemoryGrant, agent: str) -> Memory:
        """Return the memory of one agent, for a run."""
        return Memory(grant, self._database, self._segments, self._embedder, agent)

    def close(self) -> None:
        """Close the file, and let the model go; twice is fine."""
        self._database.close()
        if self._own is not None:
            self._own.close()
