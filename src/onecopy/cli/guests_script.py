"""What `guest test` reads: what is fed to a controller, and what must be seen then.

    # a comment
    => allows "{"; forbids "["             of the first step, before anything is fed
    "{\"name\": \"A" => allows "b"         a text: its tokens, one step each
    17                                     a token by its number
    ["b\"", 17]                            several at once, as after a splice
    "!" => refused                         must not be allowed; it is not fed
    rollback 2                             the host takes back tokens
    chosen                                 the token that the controller chose
    eos => stop

Texts are JSON strings. What stands after `=>` is about the line's last step.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final, NamedTuple

from onecopy.errors import InvalidArgument

EOS: Final = "eos"
CHOSEN: Final = "chosen"


class Word(str):
    """A word without quotes: `eos`, `chosen`."""

    __slots__ = ()


Piece = str | int | float | Word
"""A text, a token's number, a number, or a word."""


class Check(NamedTuple):
    """Something that must be so: `allows "a" "b"`."""

    word: str
    pieces: tuple[Piece, ...]

    def __str__(self) -> str:
        return " ".join([self.word, *map(show_piece, self.pieces)])


class Line(NamedTuple):
    """One line: what to do, then what must be seen."""

    number: int
    feed: tuple[Piece, ...] = ()
    at_once: bool = False
    rollback: int = 0
    checks: tuple[Check, ...] = ()

    @property
    def does_something(self) -> bool:
        """Whether there is more than checks."""
        return bool(self.feed or self.rollback)


_WORDS: Final = {
    "allows": "tokens",
    "forbids": "tokens",
    "only": "tokens",
    "count": "number",
    "all": "nothing",
    "bias": "bias",
    "splice": "tokens",
    "backtrack": "number",
    "fork": "number",
    "stop": "nothing",
    "chooses": "tokens",
    "fails": "nothing",
    "refused": "nothing",
}
CHECKS: Final = tuple(_WORDS)
"""What can stand after `=>`."""

_decoder: Final = json.JSONDecoder()
_BARE: Final = re.compile(r"[A-Za-z]+")
_SEPARATOR: Final = re.compile(r"\s*(=>|;)\s*")


def read_script(path: Path) -> list[Line]:
    """Read a script.

    Raises:
        InvalidArgument: a line that means nothing; the text names it.
    """
    lines = enumerate(path.read_text().splitlines(), 1)
    return [parse_line(text, number, path.name) for number, text in lines if _says_something(text)]


def _says_something(text: str) -> bool:
    return bool(text.strip()) and not text.lstrip().startswith("#")


def parse_line(text: str, number: int = 1, where: str = "the script") -> Line:
    """Read one line."""
    try:
        parts = _split(text)
        line = _feed(number, parts[0])
        return line._replace(checks=tuple(map(_check, parts[1:])))
    except ValueError as error:
        raise InvalidArgument(
            f"{where}, line {number}: {error}; docs/guest-sdk.md has what can stand there"
        ) from None


def parse_check(text: str) -> Check:
    """Read one check, such as `allows "a"`."""
    line = parse_line(f"=> {text}", where="--expect")
    if len(line.checks) != 1:
        raise InvalidArgument("--expect takes one check; give it again for another one")
    return line.checks[0]


def _split(text: str) -> list[list[object]]:
    """Return the values before the arrow, and those of each check after it."""
    parts: list[list[object]] = [[]]
    at = _skip_space(text, 0)
    while at < len(text):
        separator = _SEPARATOR.match(text, at)
        if separator:
            if (separator[1] == "=>") != (len(parts) == 1):
                raise ValueError("one => comes first, then a ; between checks")
            parts.append([])
            at = separator.end()
            continue
        value, at = _value(text, at)
        parts[-1].append(value)
        at = _skip_space(text, at)
    return parts


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _value(text: str, at: int) -> tuple[object, int]:
    word = _BARE.match(text, at)
    if word:
        return Word(word[0]), word.end()
    try:
        return _decoder.raw_decode(text, at)
    except json.JSONDecodeError:
        raise ValueError(f"{text[at:]!r} is neither a text in quotes nor a number") from None


def _feed(number: int, values: list[object]) -> Line:
    match values:
        case []:
            return Line(number)
        case [Word() as word, int(count)] if word == "rollback" and count > 0:
            return Line(number, rollback=count)
        case [list(pieces)]:
            return Line(number, tuple(map(_piece, pieces)), at_once=True)
        case [value]:
            return Line(number, (_piece(value),))
    raise ValueError("before => stands one text, token, list, or `rollback` and a number")


def _piece(value: object) -> Piece:
    if isinstance(value, Word) and value not in (EOS, CHOSEN):
        raise ValueError(f"{value} is no text: put it in quotes")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is neither a text nor a token's number")
    return value


def _check(values: list[object]) -> Check:
    if not values or not isinstance(values[0], Word):
        raise ValueError(f"a check begins with one of {', '.join(CHECKS)}")
    word, pieces = str(values[0]), tuple(map(_piece, values[1:]))
    if word not in _WORDS or not _fits(_WORDS[word], pieces):
        raise ValueError(f"`{Check(word, pieces)}` is no check; there are {', '.join(CHECKS)}")
    return Check(word, pieces)


def _fits(kind: str, pieces: tuple[Piece, ...]) -> bool:
    match kind:
        case "nothing":
            return not pieces
        case "number":
            return len(pieces) == 1 and isinstance(pieces[0], int)
        case "bias":
            return len(pieces) == 2 and isinstance(pieces[1], int | float)
    return bool(pieces) and not any(isinstance(each, float) for each in pieces)


def show_piece(piece: Piece) -> str:
    """Write a piece as it stands in a script."""
    return str(piece) if isinstance(piece, Word) else json.dumps(piece, ensure_ascii=False)
