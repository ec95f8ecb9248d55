"""Small tokenizers of each kind, made on the spot."""

from __future__ import annotations

import functools
import json
import random
from typing import Any

from onecopy.guests.decoding.byte_tokenizer import trained_tokenizer

END = "<|endoftext|>"


@functools.cache
def byte_level(size: int = 1000) -> str:
    """A byte-level BPE tokenizer that was trained on JSON with made-up words."""
    return str(trained_tokenizer(_texts(size), size).to_str())


def _texts(size: int) -> list[str]:
    dice = random.Random(size)

    def word() -> str:
        return "".join(dice.choices("etaoinshrdlucmfw", k=dice.randint(2, 9)))

    return [
        json.dumps({word(): word(), "n": [dice.randint(-999, 999), dice.random()], "o": None})
        for _ in range(max(200, size // 4))
    ]


def pieces(kind: str) -> Any:
    """A SentencePiece-like tokenizer with byte fallback: "bpe" or "unigram"."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    names = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    names += ["\u2581", "a", "b", "\u2581a", "ab", "\u2581ab", "\u00e9"]
    if kind == "unigram":
        scores = [(name, -float(i) / 10) for i, name in enumerate(names)]
        tokenizer = Tokenizer(models.Unigram(scores, unk_id=0, byte_fallback=True))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    else:
        merges = [("a", "b"), ("\u2581", "a"), ("\u2581", "ab")]
        numbers = {name: i for i, name in enumerate(names)}
        tokenizer = Tokenizer(
            models.BPE(vocab=numbers, merges=merges, unk_token="<unk>", byte_fallback=True)
        )
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
        )
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizer


def word_piece() -> str:
    """A tokenizer whose tokens do not spell exact bytes."""
    from tokenizers import Tokenizer, decoders, models

    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2}, unk_token="[UNK]"))
    tokenizer.decoder = decoders.WordPiece()
    return str(tokenizer.to_str())
