"""Texts in, vectors out: by a sentence encoder of the store, such as the demo's MiniLM."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from onecopy.agents.calls import UNAVAILABLE, Refused
from onecopy.errors import OnecopyError

if TYPE_CHECKING:
    import numpy as np

    from onecopy.nn import Context, Graph
    from onecopy.store.client import Store
    from onecopy.store.snapshot import Snapshot

    Vectors = np.ndarray[Any, np.dtype[np.float32]]

ENTRY: Final = "embedder/minilm"
PART: Final = 500
"""Characters that are embedded at a time: never more tokens than such models have positions."""
PARTS: Final = 32
"""Of a text; what is beyond them has no influence."""
_OPTIONS: Final = b'{"embedding": true}'
_MODEL: Final = "embedder"


class Embedder(Protocol):
    """What makes vectors of length one of texts."""

    @property
    def name(self) -> str:
        """Says which vectors can be compared: those of embedders of one name."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one vector a text, `[texts, width]`.

        Raises:
            Refused: `unavailable`: the model does not answer.
        """


class StoreEmbedder:
    """A sentence encoder of a store (an `Embedder`); its process starts with the first text.

        embedder = StoreEmbedder(store)
        (vector,) = await embedder.embed(["a text"])
        embedder.close()

    Args:
        store: where the model is, as `save_embedder` saves it.
        entry: its name.
        threads: how many compute.
        idle_seconds: how long its process stays when nobody has used it.
    """

    def __init__(
        self,
        store: Store | Snapshot,
        entry: str = ENTRY,
        *,
        threads: int = 1,
        idle_seconds: float = 60.0,
    ) -> None:
        from onecopy.nn import Host, Model

        self.name = entry
        model = Model(what=entry, backend="text", options={"threads": threads})
        self._host = Host({_MODEL: model}, store=store, idle_seconds=idle_seconds)
        self._graph: Graph | None = None
        self._lock = threading.Lock()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one vector a text, as `Embedder.embed` says.

        That of a long text is the mean of its parts'.
        """
        return await asyncio.to_thread(self._embed, texts)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        try:
            with self._loaded().context() as context:
                rows = [_mean([_vector(context, part) for part in parts(each)]) for each in texts]
        except OnecopyError as error:
            text = f"the embedder {self.name!r} does not answer: {error}"
            raise Refused(UNAVAILABLE, text) from error
        return np.stack(rows) if rows else np.empty((0, 0), np.float32)

    def _loaded(self) -> Graph:
        with self._lock:
            if self._graph is None:
                self._graph = self._host.load(_MODEL)
            return self._graph

    def close(self) -> None:
        """Let the model go; twice is fine."""
        self._host.close()


def save_embedder(store: Store, directory: Path | None = None, entry: str = ENTRY) -> None:
    """Save a sentence encoder where `StoreEmbedder` finds it, unless it is there already.

    Imports torch and transformers.

    Args:
        store: where to.
        directory: of a checkpoint; by default MiniLM, which comes as a Python package.
        entry: its name.

    Raises:
        DemoError: there is no such checkpoint.
    """
    from onecopy import models, nn
    from onecopy.demo.checkpoint import Checkpoint
    from onecopy.nn.backends.text.tokenizer import SUFFIX

    folder = Checkpoint.find(directory).directory
    models.from_pretrained(store, folder, name=entry)
    if entry + SUFFIX not in store:
        nn.save_tokenizer(store, entry, folder)


def parts(text: str) -> list[str]:
    """Return a text in parts that fit into a model, cut where there is space.

    >>> parts("a text")
    ['a text']
    """
    return list(_parts(text.strip() or "."))


def _parts(text: str) -> Iterator[str]:
    for _ in range(PARTS):
        if len(text) <= PART:
            yield text
            return
        cut = text.rfind(" ", PART // 2, PART)
        cut = PART if cut < 0 else cut
        yield text[:cut]
        text = text[cut:].lstrip() or "."


def _vector(context: Context, text: str) -> Vectors:
    import numpy as np

    for index, data in enumerate((text.encode(), _OPTIONS)):
        context.set_input(index, "u8", (len(data),), data)
    context.compute()
    found = json.loads(bytes(context.output(0)))["embedding"]
    return np.asarray(found, np.float32)


def _mean(vectors: list[Vectors]) -> Vectors:
    import numpy as np

    if len(vectors) == 1:
        return vectors[0]
    mean = np.mean(vectors, axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)
