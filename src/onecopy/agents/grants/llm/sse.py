"""Server-sent events, as they arrive in pieces (https://html.spec.whatwg.org, 9.2.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from onecopy.agents.calls import TOO_LARGE, Refused

EVENT_BYTES: Final = 1 << 20
_BREAK: Final = re.compile(rb"\r\n|\n|\r")


class Events:
    """Turns pieces of a stream into the data of its events; what no blank line ends is none.

    >>> events = Events()
    >>> [*events.feed(b"data: on"), *events.feed(b"e" + bytes([10]) * 2)]
    [b'one']
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0
        self._skip = False
        """Whether the last piece ended with CR: a LF that follows belongs to it."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the data of all events that a piece completes.

        Raises:
            Refused: an event is too large.
        """
        if not piece:
            return
        if self._skip and piece.startswith(b"\n"):
            piece = piece[1:]
        self._skip = piece.endswith(b"\r")
        first, *others = _BREAK.split(piece)
        self._grow(len(first))
        self._rest += first
        for other in others:
            yield from self._line(self._rest)
            self._grow(len(other))
            self._rest = other

    def _grow(self, nbytes: int) -> None:
        self._size += nbytes
        if self._size > EVENT_BYTES:
            raise Refused(TOO_LARGE, f"the endpoint sent an event of more than {EVENT_BYTES} bytes")

    def _line(self, line: bytes) -> Iterator[bytes]:
        if not line:
            data, self._data, self._size = self._data, [], 0
            if data:
                yield b"\n".join(data)
            return
        name, _, value = line.partition(b":")
        # Other fields, and comments that keep a connection open, say nothing here.
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        else:
            self._size -= len(line)
