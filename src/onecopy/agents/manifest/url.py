"""URLs that guests ask for, read strictly and written in one way."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

import msgspec

from onecopy.agents.manifest.origin import Origin
from onecopy.agents.manifest.segments import decode, encode, segment, visible

LONGEST: Final = 8192
_URL: Final = re.compile(
    r"(?P<origin>[A-Za-z]+://[^/?#]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?", re.ASCII
)


class Url(msgspec.Struct, frozen=True):
    """A URL without user and fragment, its parts decoded.

    Example:
        >>> str(Url.parse("HTTPS://api.github.com:443/repos/%6Fcto?page=2"))
        'https://api.github.com/repos/octo?page=2'
    """

    origin: Origin
    segments: tuple[str, ...] = ()
    slash: bool = False
    """Whether a `/` ends the path behind its segments."""
    query: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: Any) -> Url:
        """Read a URL.

        Raises:
            ValueError: it is none, or different servers could read it differently.
        """
        if not isinstance(text, str) or len(text) > LONGEST:
            raise ValueError(f"a URL is a text of at most {LONGEST} characters")
        match = _URL.fullmatch(text)
        if match is None:
            raise ValueError("it is no absolute URL, or has a fragment; leave out what follows #")
        segments, slash = path(match["path"] or "/")
        return cls(Origin(match["origin"]), segments, slash, _query(match["query"] or ""))

    @property
    def path(self) -> str:
        """The path, encoded, with its `/` in front."""
        written = "/" + "/".join(map(encode, self.segments))
        return written + "/" if self.slash and self.segments else written

    @property
    def target(self) -> str:
        """Path and query, as a request has them."""
        pairs = (f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in self.query)
        return f"{self.path}?{'&'.join(pairs)}" if self.query else self.path

    def __str__(self) -> str:
        return f"{self.origin}{self.target}"


def path(raw: str) -> tuple[tuple[str, ...], bool]:
    """Split a raw path into decoded segments, and say whether a `/` ends it.

    Raises:
        ValueError: a segment is none, as `segment` says.
    """
    parts = raw[1:].split("/")
    slash = parts[-1] == ""
    return tuple(map(segment, parts[:-1] if slash else parts)), slash


def _query(raw: str) -> tuple[tuple[str, str], ...]:
    if not raw:
        return ()
    return tuple(_pair(*part.partition("=")) for part in raw.split("&"))


def _pair(name: str, _: str, value: str) -> tuple[str, str]:
    # Paths have no / and ? in a segment, queries may have them as they are.
    pair = tuple(
        decode(part.replace("+", "%20").replace("/", "%2F").replace("?", "%3F"), "the query")
        for part in (name, value)
    )
    if not pair[0]:
        raise ValueError("the query has a parameter without a name")
    visible(pair[0], "the query")
    visible(pair[1].translate({9: None, 10: None, 13: None}), "the query")
    return pair[0], pair[1]
