"""Values of a request with places in them, which an event and a model's arguments fill.

A text that is a place and nothing else, `{event.repo}` or `{title}`, is filled; every other value
stays as it is. So a place is a whole value, and what fills it cannot become a part of another: not
a second parameter, and not a word of a query language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

_PLACE: Final = re.compile(
    r"\{(?:event\.(?P<field>[a-z_][a-z0-9_]*)|(?P<argument>[A-Za-z_][A-Za-z0-9_-]{0,63}))\}",
    re.ASCII,
)


def fields(value: Any) -> frozenset[str]:
    """Return the fields of the event that a value has places for, at any depth."""
    return frozenset(match["field"] for match in _places(value) if match["field"])


def arguments(value: Any) -> frozenset[str]:
    """Return the arguments that a value has places for, at any depth.

    Example:
        >>> sorted(arguments({"title": "{title}", "labels": ["bot", "{label}"]}))
        ['label', 'title']
    """
    return frozenset(match["argument"] for match in _places(value) if match["argument"])


def fill(value: Any, event: Mapping[str, str], given: Mapping[str, Any]) -> Any:
    """Return a value with its places filled; what is not given is left out of lists and tables.

    Args:
        value: JSON, with places in it.
        event: the event's fields.
        given: arguments by name.

    Returns:
        JSON, or `msgspec.UNSET` for a place whose argument is not given.
    """
    if isinstance(value, dict):
        made = {name: fill(each, event, given) for name, each in value.items()}
        return {name: each for name, each in made.items() if each is not msgspec.UNSET}
    if isinstance(value, list):
        filled = (fill(each, event, given) for each in value)
        return [each for each in filled if each is not msgspec.UNSET]
    match = _PLACE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    if match["field"]:
        return event[match["field"]]
    return given.get(match["argument"], msgspec.UNSET)


def within(text: str) -> str:
    """Return the first place that is in a text, or is it; empty if there is none."""
    match = _PLACE.search(text)
    return match[0] if match else ""


def _places(value: Any) -> Iterator[re.Match[str]]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _places(each)
    elif isinstance(value, str) and (match := _PLACE.fullmatch(value)):
        yield match
