"""The vocabulary: which bytes each token stands for, in one segment that all guests share.

    struct oc_vocab    magic "OCV1", count, eos, where the bytes start; then the end of each
                       token's bytes, then the bytes: what a guest sees as the window "vocab"
    tokenizer.json     from the next page on, for the worker: it opens no files
    trailer            64 bytes at the end: how long the two parts are, and the digest

Everything is little endian. The segment is sealed, so nobody changes it under anybody.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import InvalidArgument
from onecopy.guests.decoding.tokenizer import read, tokenizer_text
from onecopy.guests.wasm.memory import pages
from onecopy.guests.windows.source import Source
from onecopy.segments import region

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_TOKENS: Final = 1 << 20

_MAGIC: Final = int.from_bytes(b"OCV1", "little")
_HEADER: Final = struct.Struct("<4I")
_TRAILER: Final = struct.Struct("<8s2Q32s8x")
_TRAILER_MAGIC: Final = b"OCVOCAB1"
_END: Final = struct.Struct("<I")
_TWO_ENDS: Final = struct.Struct("<2I")


class Vocabulary:
    """The tokens of one model, as a sealed segment; `close()` it when no guest needs it any more.

    vocabulary = Vocabulary.from_tokenizer(transformers.AutoTokenizer.from_pretrained(name))
    vocabulary.token(vocabulary.eos)  # b"": special tokens have no bytes
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        size = os.fstat(fd).st_size
        self._map = mmap.mmap(fd, size, mmap.MAP_PRIVATE, mmap.PROT_READ)
        magic, self._table, self._text, digest = _TRAILER.unpack_from(self._map, size - 64)
        if magic != _TRAILER_MAGIC or pages(self._table) + self._text + 64 != size:
            self._map.close()
            raise InvalidArgument("the segment holds no vocabulary; make one by from_tokenizer")
        header: tuple[int, ...] = _HEADER.unpack_from(self._map)
        _, self.size, self.eos, self._bytes = header
        self.digest: str = digest.hex()
        """Names the tokens and the tokenizer: SHA-256 over both."""

    @classmethod
    def from_tokenizer(
        cls, tokenizer: Any, *, eos: int | None = None, size: int | None = None
    ) -> Vocabulary:
        """Lay out the vocabulary of a tokenizer.

        Args:
            tokenizer: of transformers (a fast one) or tokenizers, the path or text of a
                tokenizer.json.
            eos: the token that ends a text; by default what the tokenizer calls so.
            size: how many tokens the model has logits for, if that is more.

        Raises:
            UnsupportedValue: a kind of tokenizer whose tokens have no exact bytes.
            InvalidArgument: no tokenizer, no `eos`, or one that is out of range.
        """
        table = read(tokenizer_text(tokenizer))
        if eos is None:
            eos = getattr(tokenizer, "eos_token_id", None)
        tokens, end = _checked(table.tokens, table.eos if eos is None else eos, size)
        return cls(_segment(tokens, end, table.text.encode()))

    @classmethod
    def from_segment(cls, fd: int) -> Vocabulary:
        """Open a vocabulary that another process made; it closes the descriptor, unless it refuses.

        Raises:
            InvalidArgument: no vocabulary, or one that somebody could still change.
        """
        status = os.fstat(fd)
        region.check(fd, status.st_size)
        if status.st_size < 64:
            raise InvalidArgument("the segment is too short for a vocabulary")
        return cls(fd)

    @property
    def segment(self) -> int:
        """The descriptor of the segment, to hand to a worker; it stays this object's."""
        return self._fd

    @property
    def mask_words(self) -> int:
        """How many 32-bit words a mask has."""
        return (self.size + 31) // 32

    def token(self, number: int) -> bytes:
        """Return the bytes of a token; special tokens have none."""
        if not 0 <= number < self.size:
            raise InvalidArgument(f"token {number} is not in a vocabulary of {self.size}")
        at = _HEADER.size + 4 * number
        if number:
            start, end = _TWO_ENDS.unpack_from(self._map, at - 4)
        else:
            start, end = 0, _END.unpack_from(self._map, at)[0]
        return self._map[self._bytes + start : self._bytes + end]

    def tokens(self) -> list[bytes]:
        """Return the bytes of all tokens."""
        return [self.token(number) for number in range(self.size)]

    def tokenizer_text(self) -> str:
        """Return the tokenizer.json."""
        start = pages(self._table)
        return self._map[start : start + self._text].decode()

    def window_source(self) -> Source:
        """Return what a guest sees as its window "vocab"; the caller closes it."""
        self.check_open()
        return replace(self.table, fd=os.dup(self._fd))

    @property
    def table(self) -> Source:
        """The same, by this object's own descriptor, which is not the caller's to close."""
        return Source(self._fd, 0, 0, self._table, "U8", (self._table,), (1,))

    def check_open(self) -> None:
        """Raise `InvalidArgument` if it was closed."""
        if self._fd < 0:
            raise InvalidArgument("this Vocabulary was closed; make it again by from_tokenizer")

    def close(self) -> None:
        """Unmap and close the segment; windows that show it stay. Twice is fine."""
        if self._fd >= 0:
            self._map.close()
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Vocabulary:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Vocabulary of {self.size} tokens, {self.digest[:12]}>"


def _checked(tokens: list[bytes], eos: int | None, size: int | None) -> tuple[list[bytes], int]:
    wanted = len(tokens) if size is None else size
    if not len(tokens) <= wanted <= MAX_TOKENS:
        raise InvalidArgument(
            f"size={wanted}, but the tokenizer has {len(tokens)} tokens, and a vocabulary at most "
            f"{MAX_TOKENS}; give the width of the model's logits"
        )
    if eos is None or not 0 <= eos < wanted:
        raise InvalidArgument(
            f"eos={eos}: which token ends a text is not known; give its number as eos="
        )
    return tokens + [b""] * (wanted - len(tokens)), eos


def _segment(tokens: Sequence[bytes], eos: int, text: bytes) -> int:
    ends = struct.pack(f"<{len(tokens)}I", *accumulate(map(len, tokens)))
    start = _HEADER.size + len(ends)
    parts = [_HEADER.pack(_MAGIC, len(tokens), eos, start), ends, *tokens]
    table = b"".join(parts)
    padding = bytes(pages(len(table)) - len(table))
    digest = hashlib.sha256(table + text).digest()
    trailer = _TRAILER.pack(_TRAILER_MAGIC, len(table), len(text), digest)
    fd = region.create("onecopy-vocabulary")
    try:
        region.write(fd, [table, padding, text, trailer])
        region.seal(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd
