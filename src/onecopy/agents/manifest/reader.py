"""Reading TOML into types, and saying where it cannot be."""

from __future__ import annotations

import difflib
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, cast, get_args

import msgspec

from onecopy.agents.manifest.lines import line_of
from onecopy.agents.manifest.parameters import Parameters
from onecopy.agents.manifest.wrong import Wrong
from onecopy.errors import InvalidManifest

T = TypeVar("T")

_AT: Final = re.compile(r"(?P<text>.*?)(?: - at `(?P<key>key in )?\$(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>.*)`")
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_FILE_NBYTES: Final = 1 << 20
_HERE: Final = Path()


def read(text: str, kind: type[T], file: str, folder: Path = _HERE) -> T:
    """Return what a TOML text says as `kind`; files that it names are in `folder`.

    Raises:
        InvalidManifest: it is no TOML, or is not what `kind` says; the text has `file`, the line
            where it can be found, the key, and what to write instead.
    """
    if len(text) > _FILE_NBYTES:
        raise InvalidManifest(f"{file} is over {_FILE_NBYTES} characters")
    data = _toml(text, file)
    try:
        return msgspec.convert(data, kind, dec_hook=partial(_make, folder))
    except msgspec.ValidationError as error:
        steps, why = _explain(error, kind)
    line = line_of(text, steps)
    where = f"{file}, line {line}" if line else file
    raise InvalidManifest(f"{where}: {_written(steps)}: {why}")


def _toml(text: str, file: str) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidManifest(f"{file} is no TOML: {error}") from None
    except RecursionError:
        raise InvalidManifest(f"{file} is nested too deep") from None


def _make(folder: Path, kind: Any, value: Any) -> Any:
    """Make a value of one of this package's types, all of which take what TOML has."""
    return kind.read(value, folder) if issubclass(kind, Parameters) else kind(value)


def _explain(error: msgspec.ValidationError, kind: type) -> tuple[list[str | int], str]:
    match = cast("re.Match[str]", _AT.fullmatch(str(error)))
    why, steps = match["text"], _steps(match["path"] or "")
    if isinstance(error.__cause__, Wrong):
        return steps + _steps(f".{error.__cause__.key}"), why
    if unknown := _UNKNOWN.fullmatch(why):
        return [*steps, unknown["name"]], _known(unknown["name"], kind, steps)
    if missing := _MISSING.fullmatch(why):
        return [*steps, missing["name"]], "it has to be there"
    if why.startswith("Invalid enum value"):
        why = f"{why}; there are {', '.join(get_args(_type(kind, steps)))}"
    return steps, why


def _steps(path: str) -> list[str | int]:
    return [int(i) if i else name for name, i in _STEP.findall(path.replace("[...]", ""))]


def _written(steps: list[str | int]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.lstrip(".") or "it"


def _known(name: str, kind: type, steps: list[str | int]) -> str:
    """Say which keys there are instead, the one that was meant first."""
    names = list(_fields(kind, steps))
    if not names:
        return "there is no such key"
    close = difflib.get_close_matches(name, names, 1)
    meant = f"did you mean {close[0]!r}? There" if close else "there"
    return f"there is no such key; {meant} are {', '.join(names)}"


def _fields(kind: Any, steps: list[str | int]) -> tuple[str, ...]:
    return getattr(_type(kind, steps), "__struct_fields__", ())


def _type(kind: Any, steps: list[str | int]) -> Any:
    """Return the type of what is at `steps`; of a list or an optional value, that of its items."""
    for step in steps:
        if isinstance(step, str):
            fields = {each.name: each.type for each in msgspec.structs.fields(kind)}
            inner = (fields[step], *get_args(fields[step]))
            kind = next((each for each in inner if hasattr(each, "__struct_fields__")), inner[0])
    return kind
