"""A tokenizer without a model: for trying controllers, and for tests."""

from __future__ import annotations

import json


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
