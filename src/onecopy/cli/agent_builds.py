"""Saying what takes seconds before an agent runs for the first time; the library logs it."""

from __future__ import annotations

import logging
from typing import Final

from onecopy.cli.output import hint, printable

_LOGGERS: Final = (
    "onecopy.agents.sdk.build",
    "onecopy.guests.wasm.module",
    "onecopy.agents.grants.memory.default_embedder",
)


class _Hints(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        hint(printable(record.getMessage()))


def announce_builds() -> None:
    """Show from now on what is built, compiled or saved for an agent, each of it once."""
    for logger in map(logging.getLogger, _LOGGERS):
        if not any(isinstance(each, _Hints) for each in logger.handlers):
            logger.addHandler(_Hints())
            logger.setLevel(logging.INFO)
            logger.propagate = False
