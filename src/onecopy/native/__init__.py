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
        return ctypes.PyDLL(str(PATH), use_errno=True), ctypes.CDLL(str(PATH), use_errno=True)
    except OSError:
        return None
