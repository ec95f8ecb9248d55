"""Reads a tokenizer.json: which bytes each of its tokens stands for.

Two kinds of tokenizers say so exactly: byte-level BPE, whose pieces spell each byte as one of 256
letters, and SentencePiece-like ones with byte fallback, whose pieces are text with `▁` for a space
and `<0x0A>` for a byte. Others, WordPiece above all, lose spaces and case: no bytes come back.
"""

from __future__ import annotations

import functools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from onecopy.errors import InvalidArgument, UnsupportedValue

_SPACE: Final = "\u2581"
_BYTE: Final = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_END_NAMES: Final = (
    *("</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>", "<|eot_id|>", "<|im_end|>"),
    *("<|end|>", "[EOS]", "<|eos|>", "<\uff5cend\u2581of\u2581sentence\uff5c>"),
)
# What llguidance reads the kind of a SentencePiece-like tokenizer from; it knows no Metaspace.
_PIECES_DECODER: Final = {
    "type": "Sequence",
    "decoders": [
        {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ],
}


@dataclass(frozen=True)
class TokenTable:
    """What a tokenizer's tokens stand for."""

    tokens: list[bytes]
    """By number; special tokens, and numbers without a token, have no bytes."""
    eos: int | None
    """The token that ends a text, if one has a name that says so."""
    text: str
    """The tokenizer.json, without padding and truncation."""


def tokenizer_text(tokenizer: Any) -> str:
    """Return the tokenizer.json of a tokenizer of transformers or tokenizers, a path or a text."""
    if isinstance(tokenizer, str):
        return tokenizer
    if isinstance(tokenizer, os.PathLike):
        return Path(tokenizer).read_text("utf-8")
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not hasattr(backend, "to_str"):
        raise UnsupportedValue(
            f"{type(tokenizer).__name__} is no tokenizer with a tokenizer.json; hand over a fast "
            "one of transformers, one of tokenizers, or the text of the file"
        )
    text: str = backend.to_str()
    return text


def read(text: str) -> TokenTable:
    """Return the tokens of a tokenizer.json.

    Raises:
        UnsupportedValue: a kind of tokenizer whose tokens have no exact bytes.
        InvalidArgument: no tokenizer.json.
    """
    document = _parse(text)
    piece = _reader(document)
    pieces = _pieces(document["model"])
    tokens = [b""] * (1 + max(pieces.values(), default=-1))
    for name, number in pieces.items():
        tokens[number] = piece(name)
    eos = _place_added(tokens, document.get("added_tokens") or [])
    document["padding"] = document["truncation"] = None
    if not _is_byte_level(document):
        document["decoder"] = _PIECES_DECODER
    return TokenTable(tokens, eos, json.dumps(document, ensure_ascii=False))


def _parse(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
        if isinstance(document["model"]["vocab"], dict | list):
            return dict(document)
    except (ValueError, KeyError, TypeError):
        pass
    raise InvalidArgument(
        "this is no tokenizer.json: it has no model with a vocabulary; hand over the text of the "
        "file that `tokenizer.save(path)` or `save_pretrained` writes"
    )


def _pieces(model: dict[str, Any]) -> dict[str, int]:
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        return vocabulary
    return {piece: number for number, (piece, _score) in enumerate(vocabulary)}  # Unigram


def _place_added(tokens: list[bytes], added: list[dict[str, Any]]) -> int | None:
    ends = {}
    for each in added:
        number, content = int(each["id"]), str(each["content"])
        tokens.extend([b""] * (number + 1 - len(tokens)))
        tokens[number] = b"" if each.get("special") else content.encode()
        ends[content] = number
    return next((ends[name] for name in _END_NAMES if name in ends), None)


def _reader(document: dict[str, Any]) -> Any:
    if _is_byte_level(document):
        return _spelled
    if "ByteFallback" in _kinds(document.get("decoder")):
        return _fallen_back
    raise UnsupportedValue(
        f"a {document['model'].get('type') or 'nameless'} tokenizer without byte-level pieces or "
        "byte fallback: its tokens do not spell out exact bytes (spaces or case are lost), so "
        "they cannot be constrained; use the tokenizer of a generative model"
    )


def _is_byte_level(document: dict[str, Any]) -> bool:
    return "ByteLevel" in {*_kinds(document.get("decoder")), *_kinds(document.get("pre_tokenizer"))}


def _kinds(part: Any) -> set[str]:
    if not isinstance(part, dict):
        return set()
    nested = [*part.get("decoders", ()), *part.get("pretokenizers", ())]
    return {str(part.get("type")), *(kind for each in nested for kind in _kinds(each))}


def _spelled(piece: str) -> bytes:
    table = _letters()
    try:
        return bytes([table[letter] for letter in piece])
    except KeyError:
        return piece.encode()  # it was added as text


def _fallen_back(piece: str) -> bytes:
    byte = _BYTE.fullmatch(piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace(_SPACE, " ").encode()


@functools.cache
def _letters() -> dict[str, int]:
    # GPT-2's alphabet: printable bytes spell themselves, the others get letters from 256 on.
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    spelled = {chr(byte): byte for byte in printable}
    return spelled | {chr(256 + i): byte for i, byte in enumerate(others)}
