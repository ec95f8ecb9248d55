"""The daemon's log: lines on standard error, which is the log file of a store.

The logging package would take a tenth of the daemon's start and of its memory.
"""

from __future__ import annotations

import sys
import time


def info(text: str) -> None:
    """Note what happened."""
    _write("INFO", text)


def warning(text: str) -> None:
    """Note what should not have happened, but harms nobody."""
    _write("WARNING", text)


def error(text: str) -> None:
    """Note what went wrong; the trace of the exception in flight, if there is one, follows."""
    _write("ERROR", text)
    if sys.exc_info()[0] is not None:
        import traceback

        traceback.print_exc()


def _write(level: str, text: str) -> None:
    moment = time.strftime("%Y-%m-%d %H:%M:%S")
    sys.stderr.write(f"{moment} {level} {text}\n")
    sys.stderr.flush()
