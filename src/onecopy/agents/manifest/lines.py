"""Where a key is in a TOML text: the readers of TOML do not say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_PART: Final = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_DOTTED: Final = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER: Final = re.compile(rf"\s*(?P<many>\[)?\[\s*(?P<keys>{_DOTTED})\s*\]")
_KEY: Final = re.compile(rf"\s*(?P<keys>{_DOTTED})\s*=")
_QUOTES: Final = re.compile("\"\"\"|'''")

Steps = tuple["str | int", ...]


def line_of(text: str, steps: list[str | int]) -> int | None:
    """Return the line, counted from 1, of a key, or of what it would be in; `None` if unknown.

    Example:
        >>> line_of('[limits]\\ncalls = 0', ["limits", "calls"])
        2
    """
    best: tuple[int, int] | None = None
    for number, path in _paths(text):
        if tuple(steps[: len(path)]) == path and (best is None or len(path) > best[0]):
            best = (len(path), number)
    return best and best[1]


def _paths(text: str) -> Iterator[tuple[int, Steps]]:
    table: Steps = ()
    counts: dict[Steps, int] = {}
    for number, line in _outside_of_long_texts(text):
        if header := _HEADER.match(line):
            table = _enter(counts, _split(header["keys"]), many=bool(header["many"]))
            yield number, table
        elif key := _KEY.match(line):
            yield number, table + _split(key["keys"])


def _outside_of_long_texts(text: str) -> Iterator[tuple[int, str]]:
    ends: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if ends is None:
            yield number, line
        for quotes in _QUOTES.findall(line):
            if ends is None or ends == quotes:
                ends = quotes if ends is None else None


def _enter(counts: dict[Steps, int], keys: Steps, *, many: bool) -> Steps:
    """Return the path of a header, with the place of each table in its list."""
    path: Steps = ()
    for index, key in enumerate(keys):
        path = (*path, key)
        if many and index == len(keys) - 1:
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path = (*path, counts[path] - 1)
    return path


def _split(keys: str) -> Steps:
    return tuple(part.strip("\"'") for part in re.findall(_PART, keys))
