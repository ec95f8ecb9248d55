"""Answers of servers: whole, or read while they come."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import msgspec

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
        from multidict import CIMultiDict

        self.status = status
        self.headers: Mapping[str, str] = CIMultiDict(headers)
        """By name in any case; the first, of several."""
        self._pairs = headers
        self._chunks = chunks

    def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the body, decompressed, as it comes.

        Raises:
            Refused: as `Client.request` says.
        """
        return self._chunks()

    async def read(self) -> Response:
        """Return the whole answer; raises what `chunks` raises."""
        body = bytearray()
        async for chunk in self._chunks():
            body += chunk
        return Response(self.status, self._pairs, bytes(body))
