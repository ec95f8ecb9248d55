"""The small C library: plain C, without headers of torch or Python.

It is built when the package is (`hatch_build.py`). Where there was no compiler it is missing, and
what needs it does without: slower, or not at all, and says so.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Final

PATH: Final = Path(__file__).parent / "_native.so"


@cache
def load() -> tuple[ctypes.PyDLL, ctypes.CDLL] | None:
    """Return the library twice, or None if it is not there.

    Calls through the first keep the interpreter's lock, which is right for what takes a few
    microseconds: while another thread has it, a call would wait for longer than it takes.
    """
    try:
        both = ctypes.PyDLL(str(PATH)), ctypes.CDLL(str(PATH))
    except OSError:
        return None
    for library in both:
        _declare(library)
    return both


def _declare(library: ctypes.CDLL) -> None:
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
