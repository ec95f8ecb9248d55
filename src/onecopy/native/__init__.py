"""The small C library: torch's CPU allocator redirected into arenas.

Plain C, without the headers of Python or torch, called through ctypes. `heap` keeps the books
of pages, `arena` has the memory, `allocator` is what torch calls. A wheel contains it built;
where there was no compiler, `library` says so.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import NamedTuple

_PATH = Path(__file__).with_name("_native.so")


class Unavailable(Exception):
    """The library, or a part of it, cannot be used here; the text says why."""


class Library(NamedTuple):
    """The loaded library: the same functions, called with or without the interpreter's lock."""

    quick: ctypes.PyDLL
    """Keeps the lock: for what takes less time than giving it back and getting it again."""
    slow: ctypes.CDLL
    """Lets other threads run meanwhile."""


@functools.cache
def library() -> Library:
    """Return the library, loaded when first asked for.

    Raises:
        Unavailable: it was not built, or does not load.
    """
    try:
        return Library(ctypes.PyDLL(str(_PATH)), ctypes.CDLL(str(_PATH)))
    except OSError as error:
        reason = f"it does not load ({error})" if _PATH.exists() else "it was not built"
        raise Unavailable(
            f"onecopy's C library is not there: {reason}; install a C compiler, then onecopy anew, "
            "or run `python -m onecopy.native.build`"
        ) from error
