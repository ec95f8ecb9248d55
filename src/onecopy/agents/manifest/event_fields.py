"""What is taken out of an event's payload: fields, conditions and its subject."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from onecopy.errors import InvalidEvent

LONGEST: Final = 512
_STEP: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_VALUE: Final = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", re.ASCII)
_HOLE: Final = re.compile(r"\{([^{}]*)\}")
_TESTS: Final = ("equals", "not", "contains", "in")
MISSING: Final = object()


class PayloadPath(str):
    """Where a value is in a payload: `issue.user.login`, or `commits.0.id` in a list."""

    def __new__(cls, text: Any) -> PayloadPath:
        """Read one; what is none is a `ValueError` that says what to write."""
        if not isinstance(text, str) or not all(map(_STEP.fullmatch, text.split("."))):
            raise ValueError(f'{text!r} is no path into a payload; write it like "issue.number"')
        return super().__new__(cls, text)

    def find_in(self, payload: Any) -> Any:
        """Return the value there, or `MISSING`; null counts as missing."""
        for step in self.split("."):
            if isinstance(payload, dict):
                payload = payload.get(step, MISSING)
            elif isinstance(payload, list) and step.isdigit() and int(step) < len(payload):
                payload = payload[int(step)]
            else:
                return MISSING
        return MISSING if payload is None else payload


class Condition(str):
    """What a value of the payload has to be.

    `exists`, `missing`, `equals:X`, `not:X`, `contains:X` (X is in the text), `in:X|Y` (one of
    them). Numbers and `true` and `false` are compared as they are written in JSON.
    """

    def __new__(cls, text: Any) -> Condition:
        """Read one; what is none is a `ValueError` that says what to write."""
        name, colon, value = text.partition(":") if isinstance(text, str) else ("", "", "")
        if text in ("exists", "missing") or (name in _TESTS and colon and value):
            return super().__new__(cls, text)
        raise ValueError(
            f'{text!r} is no condition; write "exists", "missing", "equals:X", "not:X", '
            '"contains:X" or "in:X|Y"'
        )

    def holds(self, value: Any) -> bool:
        """Say whether it holds for a value, or for `MISSING`."""
        name, _, wanted = self.partition(":")
        if name in ("exists", "missing"):
            return (value is not MISSING) == (name == "exists")
        found = _plain(value)
        if name == "not":
            return found != wanted
        if found is None:
            return False
        if name == "contains":
            return wanted in found
        return found in (wanted.split("|") if name == "in" else [wanted])


class Subject(str):
    """A text with fields in it: `{repo}#{number}`."""

    def __new__(cls, text: Any) -> Subject:
        """Read one; what is none is a `ValueError` that says what to write."""
        if not isinstance(text, str) or not 0 < len(text) <= LONGEST or not text.isprintable():
            raise ValueError(f'a subject is a text such as "{{repo}}#{{number}}", not {text!r}')
        if set("{}") & set(_HOLE.sub("", text)) or not all(
            name.isidentifier() for name in _HOLE.findall(text)
        ):
            raise ValueError(f"{text!r} has braces that are not around the name of a field")
        return super().__new__(cls, text)

    @property
    def fields(self) -> frozenset[str]:
        """The fields that it names."""
        return frozenset(_HOLE.findall(self))

    def fill(self, fields: Mapping[str, str]) -> str:
        """Return the subject of an event with these fields."""
        return str(_HOLE.sub(lambda match: fields[match[1]], self))


def take(name: str, path: PayloadPath, payload: Any) -> str:
    """Return the field `name` of a payload: a text or a whole number that is safe in a path.

    Raises:
        InvalidEvent: it is not there, is something else, or has other characters.
    """
    value = path.find_in(payload)
    if value is MISSING:
        raise InvalidEvent(f"the event has no {path}, which the manifest takes as {name!r}")
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise InvalidEvent(f"{path} of the event is neither a text nor a whole number")
    text = str(value)
    if len(text) > LONGEST or _VALUE.fullmatch(text) is None:
        raise InvalidEvent(
            f"{path} of the event is not made of letters, digits and . _ - /, or is over "
            f"{LONGEST} characters; no grant can be bound to it"
        )
    if not {".", ".."}.isdisjoint(text.split("/")):
        raise InvalidEvent(f"{path} of the event has a segment . or ..")
    return text


def _plain(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return msgspec.json.encode(value).decode()
    return None
