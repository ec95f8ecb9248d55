"""Bodies as they come: decompressed as far as is allowed, and no further."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from onecopy.agents.calls import FAILED, TOO_LARGE, Refused

# Decoded at once, so that a small piece that is huge once decoded stays small in memory.
_PIECE: Final = 64 << 10
_WINDOWS: Final = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": 15}


class Decoder:
    """Undoes a `Content-Encoding`, and counts.

    Args:
        encoding: the header's value; empty or `identity` for none.
        limit: bytes that a body may have, both as it is sent and as it is decoded.

    Raises:
        Refused: the encoding is not known.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        name = encoding.strip().lower()
        self._limit = limit
        self._received = self._decoded = 0
        self._inflate = None
        if name in _WINDOWS:
            self._inflate = zlib.decompressobj(_WINDOWS[name])
        elif name not in ("", "identity"):
            raise Refused(
                FAILED, f"the answer is encoded as {name[:40]!r}, which was not asked for"
            )

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Decode a chunk, in pieces.

        Raises:
            Refused: it is over the limit, or is not what the header says.
        """
        self._received += len(chunk)
        self._check(self._received)
        if self._inflate is None:
            yield chunk
            return
        while chunk:
            piece = self._decompress(chunk)
            self._decoded += len(piece)
            self._check(self._decoded)
            yield piece
            chunk = self._inflate.unconsumed_tail

    def end(self) -> None:
        """Note that nothing follows.

        Raises:
            Refused: the compressed data has no end yet.
        """
        if self._inflate is not None and self._received and not self._inflate.eof:
            raise Refused(FAILED, "the answer was cut: its compressed data has no end")

    def _decompress(self, chunk: bytes) -> bytes:
        assert self._inflate is not None
        try:
            piece = self._inflate.decompress(chunk, _PIECE)
        except zlib.error:
            raise Refused(FAILED, "the answer is not compressed as its header says") from None
        if self._inflate.unused_data:
            raise Refused(FAILED, "the answer goes on behind the end of its compressed data")
        return piece

    def _check(self, nbytes: int) -> None:
        if nbytes > self._limit:
            raise Refused(
                TOO_LARGE,
                f"the answer is over {self._limit} bytes; ask for less, or raise max_response of "
                "the grant in agent.toml",
            )
