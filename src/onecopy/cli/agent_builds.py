"""Saying that an agent is built or compiled, which takes seconds; the library logs it."""

from __future__ import annotations

import logging
from typing import Final

from onecopy.cli.output import hint, printable

_LOGGERS: Final = ("onecopy.agents.sdk.build", "onecopy.guests.wasm.module")


class _Hints(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        hint(printable(record.getMessage()))


def announce_builds() -> None:
    """Show when an agent is built or compiled, from now on; neither is done twice."""
    for logger in map(logging.getLogger, _LOGGERS):
        if not any(isinstance(each, _Hints) for each in logger.handlers):
            logger.addHandler(_Hints())
            logger.setLevel(logging.INFO)
            logger.propagate = False
