"""Templates of paths: which paths a grant is for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from onecopy.agents.manifest import url
from onecopy.agents.manifest.segments import encode
from onecopy.agents.manifest.segments import segment as checked

_HOLE: Final = re.compile(r"\{([^{}]*)\}")
_FREE: Final = re.compile(r"(?P<name>[a-z_][a-z0-9_]*)(?P<kind>:int|\.\.\.|)", re.ASCII)
_BOUND: Final = re.compile(r"event\.(?P<field>[a-z_][a-z0-9_]*)", re.ASCII)
_SHOWN: Final = 100
_DIGITS: Final = re.compile(r"[0-9]{1,19}", re.ASCII)

TEXT: Final = "text"
FIELD: Final = "field"
ANY: Final = "any"
INT: Final = "int"
REST: Final = "rest"


class Piece(msgspec.Struct, frozen=True):
    """A part of a segment: a text, a field of the event, or something that may vary."""

    kind: str
    """`text`, `field`, `any`, `int` or `rest`."""
    text: str
    """The text, or a name."""


Segment = tuple[Piece, ...]
Bound = tuple[str, str, str]
"""What is before something that varies, its kind (or nothing varies), and what is after it."""


class PathTemplate(str):
    """A path with places that are bound to the event, or free.

    What is outside of braces is a path as in a URL. What is no template is a `ValueError`, which
    says what to write.

    Example:
        >>> template = PathTemplate("/repos/{event.repo}/pulls/{number:int}")
        >>> template.matches(("repos", "a", "b", "pulls", "7"), False, {"repo": "a/b"})
        True
    """

    segments: tuple[Segment, ...]
    slash: bool

    def __new__(cls, text: Any) -> PathTemplate:
        """Read one; what is none is a `ValueError` that says what to write."""
        if not isinstance(text, str) or not text.startswith("/"):
            raise ValueError(f'{text!r} is no path; write it like "/repos/{{event.repo}}/pulls"')
        raw = text[1:].split("/")
        slash = raw[-1] == ""
        segments = tuple(map(_segment, raw[:-1] if slash else raw))
        if any(piece.kind == REST for segment in segments[:-1] for piece in segment):
            raise ValueError(f"{text!r} goes on behind {{name...}}, which is the rest of a path")
        template = super().__new__(cls, text)
        template.segments, template.slash = segments, slash
        return template

    @property
    def fields(self) -> frozenset[str]:
        """The fields of the event that it is bound to."""
        return frozenset(p.text for each in self.segments for p in each if p.kind == FIELD)

    @property
    def places(self) -> frozenset[str]:
        """The names of what may vary."""
        kinds = (ANY, INT, REST)
        return frozenset(p.text for each in self.segments for p in each if p.kind in kinds)

    def fill(self, fields: Mapping[str, str], given: Mapping[str, str]) -> tuple[str, ...]:
        """Return the segments of a path, decoded, with a name in each place that may vary.

        Raises:
            KeyError: a field or a name is missing.
            ValueError: what is given is not one plain segment, or is no digits for `{name:int}`.
        """
        made: list[str] = []
        for each in self.segments:
            values = [_value(piece, fields, given) for piece in each]
            whole = values[0].split("/") if each[0].kind == FIELD and len(each) == 1 else None
            made += whole or [checked(encode("".join(values)))]
        if not self.matches(made, self.slash, fields):
            raise ValueError(f"{'/'.join(made)[:_SHOWN]!r} does not fit the path {self}")
        return tuple(made)

    def matches(self, segments: Sequence[str], slash: bool, fields: Mapping[str, str]) -> bool:
        """Say whether a path, decoded and split, is meant, for an event with these fields."""
        bound = self._bind(fields)
        if bound is None or slash != self.slash:
            return False
        if bound and bound[-1][1] == REST:
            head = bound[:-1]
            return len(segments) > len(head) and _all_match(head, segments[: len(head)])
        return len(bound) == len(segments) and _all_match(bound, segments)

    def _bind(self, fields: Mapping[str, str]) -> list[Bound] | None:
        """Put the event's values in place; `None` if it lacks one."""
        bound: list[Bound] = []
        for segment in self.segments:
            values = [fields.get(p.text) if p.kind == FIELD else p.text for p in segment]
            if not all(values):
                return None
            if len(segment) == 1 and segment[0].kind == FIELD:
                # A value such as octo/hello is two segments.
                bound.extend((part, "", "") for part in str(values[0]).split("/"))
            else:
                bound.append(_join(segment, [str(value) for value in values]))
        return bound


def suggest(segments: Sequence[str], slash: bool, fields: Mapping[str, str]) -> str:
    """Write the narrowest template for a path: with the event's fields where they occur."""
    written: list[str] = []
    rest = list(segments)
    by_length = sorted(fields.items(), key=lambda item: -item[1].count("/"))
    while rest:
        for name, value in by_length:
            parts = value.split("/")
            if value and rest[: len(parts)] == parts:
                written.append(f"{{event.{name}}}")
                del rest[: len(parts)]
                break
        else:
            written.append(encode(rest.pop(0)))
    return "/" + "/".join(written) + ("/" if slash and written else "")


def _value(piece: Piece, fields: Mapping[str, str], given: Mapping[str, str]) -> str:
    if piece.kind == TEXT:
        return piece.text
    return (fields if piece.kind == FIELD else given)[piece.text]


def _segment(raw: str) -> Segment:
    if not raw:
        raise ValueError("a template has no empty segments")
    pieces: list[Piece] = []
    for index, part in enumerate(_HOLE.split(raw)):
        if index % 2:
            pieces.append(_hole(part))
        elif part:
            pieces.append(Piece(TEXT, _literal(part, alone=part == raw)))
    free = [piece for piece in pieces if piece.kind in (ANY, INT, REST)]
    if len(free) > 1:
        raise ValueError(f"{raw!r} has two places that vary in one segment; there can be one")
    if any(piece.kind == REST for piece in free) and len(pieces) > 1:
        raise ValueError(f"{raw!r}: {{name...}} is a segment of its own")
    return tuple(pieces)


def _hole(text: str) -> Piece:
    if bound := _BOUND.fullmatch(text):
        return Piece(FIELD, bound["field"])
    free = _FREE.fullmatch(text)
    if free is None or free["name"] == "event":
        raise ValueError(
            f"{{{text}}} is no placeholder; there are {{event.field}}, {{name}} (one segment), "
            "{name:int} (digits) and {name...} (the rest), names in small letters"
        )
    return Piece({"": ANY, ":int": INT, "...": REST}[free["kind"]], free["name"])


def _literal(raw: str, *, alone: bool) -> str:
    if "{" in raw or "}" in raw:
        raise ValueError(f"{raw!r} has a brace without its other")
    # Beside a placeholder a part may be dots alone, so it is checked with something around it.
    segments, _ = url.path(f"/{raw}" if alone else f"/-{raw}-")
    return segments[0] if alone else segments[0][1:-1]


def _join(segment: Segment, values: list[str]) -> Bound:
    before, kind, after = "", "", ""
    for piece, value in zip(segment, values, strict=True):
        if piece.kind in (ANY, INT, REST):
            kind = piece.kind
        elif kind:
            after += value
        else:
            before += value
    return before, kind, after


def _all_match(bound: Sequence[Bound], segments: Sequence[str]) -> bool:
    return all(_match(*each, segment) for each, segment in zip(bound, segments, strict=True))


def _match(before: str, kind: str, after: str, segment: str) -> bool:
    if not kind:
        return segment == before
    inner = segment[len(before) : len(segment) - len(after)]
    if not (segment == before + inner + after and inner):
        return False
    return kind != INT or _DIGITS.fullmatch(inner) is not None
