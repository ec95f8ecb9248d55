"""Byte-level tokenizers without a model: for trying controllers, and for small models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokenizers import Tokenizer


def byte_tokenizer() -> str:
    """Return a tokenizer.json with a token for each byte, and one that ends a text."""
    printable_bytes = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable_bytes]
    letters = {byte: chr(byte) for byte in printable_bytes}
    letters |= {byte: chr(256 + i) for i, byte in enumerate(others)}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    end = {"id": 256, "content": "</s>", "special": True, "single_word": False}
    end |= dict.fromkeys(("lstrip", "rstrip", "normalized"), False)
    model = {
        "type": "BPE",
        "vocab": {letters[byte]: byte for byte in range(256)},
        "merges": [],
    }
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": [end],
            "pre_tokenizer": {**level, "use_regex": False},
            "decoder": level,
            "model": model,
        }
    )


def trained_tokenizer(texts: Iterable[str], size: int, end: str = "<|endoftext|>") -> Tokenizer:
    """Train a byte-level BPE tokenizer; `end` is the token that ends a text, number 0.

    The same texts give the same tokenizer. It may have fewer than `size` tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[end],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
