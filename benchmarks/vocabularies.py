"""Vocabularies of any size, for benchmarks that need no particular one."""

from __future__ import annotations

import json
import random

from onecopy.guests.decoding.byte_tokenizer import trained_tokenizer


def tokenizer_json(size: int) -> str:
    """A byte-level BPE tokenizer, trained on JSON with made-up words; the same for the same size.

    Takes 1 s for 32,000 tokens and 5 s for 128,000. It may have some tokens fewer.
    """
    return str(trained_tokenizer(_texts(size), size).to_str())


def word(dice: random.Random) -> str:
    """A made-up word."""
    return "".join(dice.choices("etaoinshrdlucmfw", k=dice.randint(2, 9)))


def _texts(size: int) -> list[str]:
    dice = random.Random(size)
    return [
        json.dumps(
            {word(dice): word(dice), "n": [dice.randint(-999, 999), dice.random()], "o": None}
        )
        for _ in range(max(200, size // 4))
    ]
