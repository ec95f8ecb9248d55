"""Sentences in, vectors out. Imports torch and transformers: for worker processes only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from onecopy.demo.pooling import mean_pool

BATCH = 16
MAX_TOKENS = 128


class Embedder:
    """The sentences, tokenised once; `embed` runs them through a model."""

    def __init__(self, directory: Path, sentences: Sequence[str]) -> None:
        tokenizer = AutoTokenizer.from_pretrained(directory)
        if tokenizer.pad_token is None:  # decoders often have none; the mask hides the padding
            tokenizer.pad_token = tokenizer.eos_token
        starts = range(0, len(sentences), BATCH)
        self._batches = [_tokenise(tokenizer, sentences[i : i + BATCH]) for i in starts]

    def embed(self, model: Any) -> bytes:
        """The vectors of all sentences, row by row, as the bytes of float32 numbers."""
        with torch.inference_mode():
            rows = [self._embed_batch(model, batch) for batch in self._batches]
            return bytes(torch.cat(rows).float().numpy().tobytes())

    def _embed_batch(self, model: Any, batch: Any) -> Any:
        return mean_pool(model(**batch).last_hidden_state, batch["attention_mask"])


def _tokenise(tokenizer: Any, sentences: Sequence[str]) -> Any:
    return tokenizer(
        list(sentences), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
    )
