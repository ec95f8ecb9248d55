"""The files that `put` saves: as what, and how many bytes; mapped, never read here."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, NamedTuple

from onecopy.errors import CorruptEntry, InvalidArgument, UnsupportedValue


class Source(NamedTuple):
    """What a file holds."""

    value: Any
    kind: str
    """For people: what it will be after a load."""
    nbytes: int
    """The size of the file: what there is to copy, and a little more."""


# Files of pickles: loading one runs code that it contains, so nobody here does.
_PICKLES = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})


def open_source(path: Path) -> Source:
    """Open a file to be saved: tensors, an array, or its bytes."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise InvalidArgument(f"{path} is not a regular file; copy it into one")
    match path.suffix:
        case ".safetensors":
            value, kind = _checkpoint(path)
        case ".npy":
            value, kind = _array(path), "a numpy array"
        case _:
            value, kind = _bytes(path, status.st_size), "plain bytes"
    return Source(value, kind, status.st_size)


def _checkpoint(path: Path) -> tuple[Any, str]:
    from onecopy.tensors.checkpoint import open_value

    value = open_value(path)
    return value, f"{len(value)} items" if isinstance(value, dict) else type(value).__name__


def _array(path: Path) -> Any:
    try:
        import numpy as np
    except ImportError:
        raise InvalidArgument(
            f"{path} needs numpy, which is not installed here; run `pip install 'onecopy[numpy]'`"
        ) from None
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (EOFError, ValueError) as error:
        # numpy takes what is no .npy file for a pickle, and names an option that is not ours.
        if "Python objects" in str(error):
            raise UnsupportedValue(
                f"{path} holds Python objects, which are never unpickled; save numbers or texts"
            ) from error
        raise CorruptEntry(
            f"{path} is no whole .npy file; write it again, or rename it to save its bytes"
        ) from error


def _bytes(path: Path, nbytes: int) -> memoryview:
    from onecopy.segments.mapping import map_fd

    if nbytes == 0:
        return memoryview(b"")
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return map_fd(fd, nbytes).view()
    finally:
        os.close(fd)


def is_pickle(path: Path) -> bool:
    """Say whether a file, by its name, is a pickle, whose tensors `put` cannot see."""
    return path.suffix in _PICKLES
