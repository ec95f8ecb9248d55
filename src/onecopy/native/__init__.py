"""The small C library: torch's allocator redirected into arenas; loads, saves, guests, packing.

Plain C, without the headers of Python or torch, called through ctypes. `heap` keeps the books
of pages, `arena` has the memory, `allocator` is what torch calls; `record` and `replay` (with
`modes`, `region` and `space`) are how planned runs allocate. `segment` has the steps of a load and
of a small save. `turns` calls the guests of a step, `foresight` is what those call, `alarm` keeps
their time, and `masks` takes what they answered. `first_fit` and `packing` (with `grid`,
`witnesses` and `parts`) make plans of arenas. A wheel contains it built; where there was no
compiler, `library` says so.
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
        loaded = Library(ctypes.PyDLL(str(_PATH)), ctypes.CDLL(str(_PATH)))
    except OSError as error:
        reason = f"it does not load ({error})" if _PATH.exists() else "it was not built"
        raise Unavailable(
            f"onecopy's C library is not there: {reason}; install a C compiler, then onecopy anew, "
            "or run `python -m onecopy.native.build`"
        ) from error
    for each in loaded:
        _declare(each)
    return loaded


@functools.cache
def find() -> Library | None:
    """Return the library, or None: for those who can do without it. It is looked for once."""
    try:
        return library()
    except Unavailable:
        return None


def _declare(library: ctypes.CDLL) -> None:
    """Declare what is called where microseconds count: ctypes then converts in fewer steps."""
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    library.onecopy_map.restype = pointer
    library.onecopy_map.argtypes = [pointer]
    library.onecopy_fill.argtypes = [
        *(ctypes.c_char_p, ctypes.c_int, ctypes.c_int),
        *(ctypes.c_char_p, size, pointer, size, ctypes.c_char_p, size),
    ]
    library.onecopy_exchange.restype = ctypes.c_long
    library.onecopy_exchange.argtypes = [
        *(ctypes.c_int, ctypes.c_char_p, size, ctypes.c_int, pointer, size),
    ]
    library.onecopy_modes_depth.restype = size
    library.onecopy_replay_enter.argtypes = [ctypes.c_uint64, size]
    library.onecopy_replay_leave.argtypes = [size, ctypes.c_int]
    library.onecopy_output_nbytes.restype = ctypes.c_uint64
    library.onecopy_output_nbytes.argtypes = [ctypes.c_uint64]
    library.onecopy_output_detach.argtypes = [ctypes.c_uint64]
    library.onecopy_turns.restype = ctypes.c_long
    library.onecopy_turns.argtypes = [pointer, pointer, ctypes.c_long]
    library.onecopy_take_masks.restype = ctypes.c_long
    library.onecopy_take_masks.argtypes = [pointer, pointer, size, size, pointer, ctypes.c_long]
