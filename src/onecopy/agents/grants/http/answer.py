"""Answers of servers: whole, or read while they come."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from onecopy.agents.calls import TOO_LARGE, Refused

Headers = list[tuple[str, str]]

_CHARSET: Final = re.compile(r";\s*charset\s*=\s*\"?([A-Za-z0-9_-]{1,32})", re.IGNORECASE)
# Python has codecs that are not of texts, or that can be abused: utf-7, unicode_escape, idna.
_CHARSETS: Final = re.compile(
    r"utf-?(8|16(le|be)?|32(le|be)?)|us-ascii|iso-?8859-?\d{1,2}|latin-?1|windows-125\d|"
    r"koi8-[ru]|shift[_-]jis|euc-(jp|kr)|gb2312|gbk|gb18030|big5"
)


def header(headers: Headers, name: str) -> str:
    """Return the first value of a header; empty if there is none."""
    return next((value for each, value in headers if each.lower() == name), "")


class Response(msgspec.Struct, frozen=True):
    """A whole answer, its body decompressed."""

    status: int
    headers: Headers
    body: bytes

    def text(self) -> str:
        """Return the body as text; bytes that are none in its charset become U+FFFD.

        The charset is that of the header, or UTF-8 if that names none that is known.
        """
        match = _CHARSET.search(header(self.headers, "content-type"))
        name = match[1].lower() if match else "utf-8"
        if not _CHARSETS.fullmatch(name):
            name = "utf-8"
        try:
            return self.body.decode(name, "replace")
        except (LookupError, UnicodeError):
            return self.body.decode("utf-8", "replace")


class Stream:
    """An answer whose body is read while it comes.

    Args:
        status: of the answer.
        headers: of the answer.
        chunks: makes the iterator of its decompressed pieces; called once.
    """

    def __init__(
        self, status: int, headers: Headers, chunks: Callable[[], AsyncIterator[bytes]]
    ) -> None:
        self.status = status
        self.headers = headers
        self._chunks = chunks

    async def read(self) -> Response:
        """Return the whole answer."""
        body = bytearray()
        async for chunk in self._chunks():
            body += chunk
        return Response(self.status, self.headers, bytes(body))

    async def lines(self, *, longest: int = 1 << 20) -> AsyncIterator[str]:
        """Iterate over lines of UTF-8, without the LF or CR LF at their ends.

        Raises:
            Refused: a line is over `longest` bytes, or as `Client.request` says.
        """
        buffer, scanned = bytearray(), 0
        async for chunk in self._chunks():
            buffer += chunk
            while (end := buffer.find(b"\n", scanned)) >= 0:
                yield _line(buffer[:end], longest)
                del buffer[: end + 1]
                scanned = 0
            scanned = len(buffer)
            if scanned > longest:
                break
        if buffer:
            yield _line(buffer, longest)

    async def events(self, *, longest: int = 1 << 20) -> AsyncIterator[str]:
        """Iterate over the data of server-sent events; their names and ids are left out.

        An event that no empty line ends is left out, as the HTML standard says (9.2.6).

        Raises:
            Refused: as `lines` says; `longest` is also the most that an event may have.
        """
        data: list[str] = []
        size = 0
        async for line in self.lines(longest=longest):
            name, _, value = line.partition(":")
            if not line and data:
                yield "\n".join(data)
                data, size = [], 0
            elif name == "data":
                data.append(value.removeprefix(" "))
                size += len(value) + 1
                _check(size, longest, "an event")


def _line(raw: bytearray, longest: int) -> str:
    _check(len(raw), longest, "a line")
    return raw.decode("utf-8", "replace").removesuffix("\r")


def _check(size: int, longest: int, what: str) -> None:
    if size > longest:
        raise Refused(TOO_LARGE, f"{what} of the answer is over {longest} bytes")
