"""Texts in, vectors out: by a sentence encoder of the store, such as the demo's MiniLM."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from onecopy.agents.calls import UNAVAILABLE, Refused
from onecopy.errors import EntryNotFound, ModelNotFound, OnecopyError

if TYPE_CHECKING:
    import numpy as np

    from onecopy.nn import Graph
    from onecopy.store.client import Store
    from onecopy.store.snapshot import Snapshot

    Vectors = np.ndarray[Any, np.dtype[np.float32]]

ENTRY: Final = "embedder/minilm"
PART: Final = 500
"""Characters that are embedded at a time."""
PARTS: Final = 32
"""Of a text; what is beyond them has no influence."""
BATCH: Final = 16
"""Parts that are computed at once."""
TOKENS: Final = 256
"""Of a part, of which the rest is left out; more than such models were trained with."""
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
        options = {"threads": threads, "inputs": "input_ids+attention_mask"}
        model = Model(what=entry, backend="pytorch", options=options)
        self._host = Host({_MODEL: model}, store=store, idle_seconds=idle_seconds)
        self._store = store
        self._loaded: tuple[Graph, Any] | None = None
        # One of its own: a model computes one batch after another.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="onecopy-embedder")

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one vector a text, as `Embedder.embed` says.

        That of a long text is the mean of its parts'.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._embed, texts)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        cut = [parts(each) for each in texts]
        try:
            found = self._embed_parts([part for each in cut for part in each])
        except (EntryNotFound, ModelNotFound) as error:
            text = f"the store has no embedder {self.name!r}: {_command(self._store)} saves one"
            raise Refused(UNAVAILABLE, text) from error
        except OnecopyError as error:
            text = f"the embedder {self.name!r} does not answer: {error}"
            raise Refused(UNAVAILABLE, text) from error
        ends = np.cumsum([len(each) for each in cut])[:-1]
        rows = [_scaled(each.mean(0)) for each in np.split(found, ends)]
        return np.stack(rows) if texts else found

    def _embed_parts(self, texts: list[str]) -> Vectors:
        """Embed parts in batches of about one length: nothing is computed for padding."""
        import numpy as np

        graph, tokenizer = self._load()
        order = sorted(range(len(texts)), key=lambda each: len(texts[each]))
        rows: list[Any] = [None] * len(texts)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            for each, row in zip(chosen, _computed(graph, tokenizer, texts, chosen), strict=True):
                rows[each] = row
        return np.stack(rows) if rows else np.empty((0, 0), np.float32)

    def _load(self) -> tuple[Graph, Any]:
        from tokenizers import Tokenizer

        from onecopy.nn.backends.text.tokenizer import SUFFIX

        if self._loaded is None:
            files = self._store.load(self.name + SUFFIX)
            tokenizer = Tokenizer.from_str(bytes(files["tokenizer.json"]).decode())
            tokenizer.enable_truncation(TOKENS)
            tokenizer.enable_padding()
            self._loaded = self._host.load(_MODEL), tokenizer
        return self._loaded

    def close(self) -> None:
        """Let the model go; twice is fine."""
        self._thread.shutdown(wait=False, cancel_futures=True)
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


def _command(store: Store | Snapshot) -> str:
    return f"onecopy agent embedder {getattr(store, 'name', 'STORE')}"


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


def _computed(graph: Graph, tokenizer: Any, texts: list[str], chosen: list[int]) -> Vectors:
    import numpy as np

    encoded = tokenizer.encode_batch([texts[each] for each in chosen])
    ids = np.array([each.ids for each in encoded], np.int64)
    mask = np.array([each.attention_mask for each in encoded], np.int64)
    hidden = np.asarray(graph.run([ids, mask])[0], np.float32)
    weights = mask[:, :, None].astype(np.float32)
    return _scaled((hidden * weights).sum(1) / weights.sum(1))


def _scaled(vectors: Any) -> Vectors:
    """Return vectors of length one."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)
