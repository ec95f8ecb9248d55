"""The same computation in Python: transformers, torch and numpy, on weights of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    Vectors = np.ndarray[Any, np.dtype[np.float32]]


def embed(model: Any, tokenizer: Any, texts: Sequence[str]) -> Vectors:
    """Return one vector a text, each the mean over its tokens, of length one."""
    with torch.inference_mode():
        return np.stack([_embed(model, tokenizer(text, return_tensors="pt")) for text in texts])


def vectors(data: bytes, count: int) -> Vectors:
    """Return the vectors that a guest wrote to a file."""
    return np.frombuffer(data, np.float32).reshape(count, -1)


def _embed(model: Any, tokens: Any) -> Any:
    # The length is taken in double precision, as the backend does; only then comes the last digit
    # of a single one from the model alone, and not from the order of a sum.
    mean = model(**tokens).last_hidden_state[0].mean(0).double()
    return (mean / torch.linalg.vector_norm(mean)).float().numpy()


def nearest(questions: Vectors, sentences: Vectors) -> list[int]:
    """Return the number of the sentence that is nearest to each question."""
    products = questions.astype(np.float64) @ sentences.astype(np.float64).T
    return [int(each) for each in products.argmax(axis=1)]
