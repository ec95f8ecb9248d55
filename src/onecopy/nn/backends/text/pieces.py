"""From tokens to bytes, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onecopy.errors import UnsupportedValue
from onecopy.guests.decoding.tokenizer import read, tokenizer_text

if TYPE_CHECKING:
    from collections.abc import Callable


class Pieces:
    """What each token of a tokenizer adds to a text.

    Byte-level and SentencePiece-like tokenizers say so exactly: a token of half a character is
    these bytes. Of others, text comes as soon as their decoder is sure of it. Special tokens add
    nothing.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer.backend_tokenizer
        try:
            self._exact: list[bytes] | None = read(tokenizer_text(tokenizer)).tokens
        except UnsupportedValue:
            self._exact = None

    def stream(self) -> Callable[[int], bytes]:
        """Return a function that takes a text's tokens in order, and returns what each adds."""
        return self._decoded() if self._exact is None else self._spelled

    def _spelled(self, token: int) -> bytes:
        # A model may have logits for more tokens than its tokenizer knows.
        assert self._exact is not None
        return self._exact[token] if token < len(self._exact) else b""

    def _decoded(self) -> Callable[[int], bytes]:
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(skip_special_tokens=True)

        def push(token: int) -> bytes:
            return (stream.step(self._tokenizer, token) or "").encode()

        return push
