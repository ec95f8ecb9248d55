"""A clock of deadlines that needs no core of its own: signals to the thread that runs guests.

native/alarm.c says why. Python knows nothing of these signals, and what they interrupt goes on.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import Final

from onecopy import native
from onecopy.guests.wasm.engine import TICK_SECONDS, engine, ticker

_PERIOD_NS: Final = int(TICK_SECONDS * 1e9)


class Alarm:
    """A `Clock` that signals the thread that made it; one for a process, whose SIGALRM it takes.

    Raises:
        native.Unavailable: the C library was not built.
        OSError: the kernel lets us have no timer.
    """

    def __init__(self) -> None:
        from wasmtime import _ffi

        library = native.library().quick
        prepare, self._set = library.onecopy_alarm_prepare, library.onecopy_alarm_set
        prepare.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self._set.argtypes = [ctypes.c_long]
        advance = ctypes.cast(_ffi.dll.wasmtime_engine_increment_epoch, ctypes.c_void_p)
        # There is one engine, and it stays: its address does, too.
        _check(prepare(advance, ctypes.cast(engine().ptr(), ctypes.c_void_p)))

    def start(self) -> None:
        """Let epochs pass."""
        _check(self._set(_PERIOD_NS))

    def stop(self) -> None:
        """Let none pass."""
        _check(self._set(0))


def keep_time_here() -> None:
    """Have this process's deadlines kept by signals to this thread, where that can be.

    Else a thread goes on keeping them. To be called before there are deadlines, and before system
    calls are filtered.
    """
    with contextlib.suppress(native.Unavailable, OSError):
        ticker.clock = Alarm()


def _check(result: int) -> None:
    if result:
        raise OSError(-result, os.strerror(-result))
