"""Which backends there are: found by name, encoding or file, without importing their libraries."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, cast

from onecopy.errors import BackendMissing, InvalidArgument, InvalidModel, ModelNotFound
from onecopy.nn.backends.backend import GROUP, Backend

_log = logging.getLogger(__name__)

CHECKPOINT = "config.json"
"""What makes a folder one of transformers': its suffix is this, behind a slash."""

# How files of known formats begin, and the name of a suffix for each: what a guest brings has
# no name of its own.
_MAGICS = ((0, b"PK\x03\x04", ".pt"), (4, b"TFL3", ".tflite"), (0, b"GGUF", ".gguf"))


def find(name: str) -> Backend:
    """Return the backend of that name; of a plugin without an entry point, `module:Class`.

    Raises:
        InvalidArgument: there is none; the text lists those there are.
        BackendMissing: its own module cannot be imported.
    """
    return _make(name, _reference(name))


def for_encoding(encoding: str) -> str:
    """Return the name of the backend for an encoding, such as `onnx`; onecopy's own come first.

    Raises:
        InvalidArgument: no backend has it.
    """
    for name, backend in _known():
        if encoding in backend.encodings:
            return name
    raise InvalidArgument(f"no backend for the encoding {encoding!r}; there are {_listed()}")


def for_file(path: str) -> str:
    """Return the name of the backend for a file, by its suffix or else by how it begins.

    Raises:
        ModelNotFound: there is no such file.
        InvalidArgument: no backend takes such files.
    """
    suffix = _suffix(Path(path))
    for name, backend in _known():
        if suffix in backend.suffixes:
            return name
    raise InvalidArgument(f"{path}: no backend for such files; name one of {_listed()}")


def _reference(name: str) -> EntryPoint:
    if ":" in name:
        return EntryPoint(name, name, GROUP)
    for point in _points():
        if point.name == name:
            return point
    raise InvalidArgument(f"no backend {name!r}; there are {_listed()}, or give module:Class")


def _make(name: str, point: EntryPoint) -> Backend:
    try:
        made = point.load()
    except ImportError as error:
        raise BackendMissing(f"the backend {name!r} cannot be imported: {error}") from error
    except AttributeError as error:
        raise InvalidArgument(f"there is no class {point.value}: {error}") from error
    return cast(Backend, made())


@cache
def _points() -> tuple[EntryPoint, ...]:
    """All entry points by their names; where two have one name, onecopy's own wins."""
    found = {}
    for point in sorted(entry_points(group=GROUP), key=_own):
        found[point.name] = point
    return tuple(sorted(found.values(), key=lambda point: (not _own(point), point.name)))


def _own(point: EntryPoint) -> bool:
    return point.value.startswith("onecopy.")


def _known() -> Iterator[tuple[str, Backend]]:
    for point in _points():
        try:
            yield point.name, _make(point.name, point)
        except (BackendMissing, InvalidArgument):
            _log.debug("the backend %s is left out", point.name, exc_info=True)


def _listed() -> str:
    return ", ".join(point.name for point in _points())


def _suffix(path: Path) -> str:
    if (path / CHECKPOINT).is_file():
        return f"/{CHECKPOINT}"
    if path.suffix:
        return path.suffix.lower()
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError as error:
        raise ModelNotFound(f"{path}: no such file") from error
    except OSError as error:
        raise InvalidModel(f"{path}: {error.strerror}") from error
    return _suffix_of(head)


def _suffix_of(head: bytes) -> str:
    for offset, magic, suffix in _MAGICS:
        if head[offset:].startswith(magic):
            return suffix
    # A protobuf has no magic: an ONNX file begins with its field 1, the version, in practice.
    return ".xml" if head.lstrip().startswith(b"<") else ".onnx" if head[:1] == b"\x08" else ""


def require(module: str, extra: str) -> Any:
    """Import the library of a backend.

    Raises:
        BackendMissing: it is not installed, or does not work here; the text says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BackendMissing(
            f"{module} is not there ({error}): pip install 'onecopy[{extra}]'"
        ) from error


def files_of(files: Sequence[str], least: int, most: int, what: str) -> list[Path]:
    """Return a model's files as paths that exist.

    Raises:
        InvalidModel: there are not as many as such a model has, or one is no file.
        ModelNotFound: one does not exist.
    """
    if not least <= len(files) <= most:
        raise InvalidModel(f"{what}; {len(files)} were given")
    paths = [Path(file) for file in files]
    for path in paths:
        if not path.exists():
            raise ModelNotFound(f"{path}: no such file")
        if not path.is_file():
            raise InvalidModel(f"{path}: not a file")
    return paths
