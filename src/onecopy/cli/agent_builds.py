"""Saying that an agent is built, which can take a minute; the library logs it."""

from __future__ import annotations

import logging
from typing import Final

from onecopy.cli.output import hint, printable

_LOGGER: Final = "onecopy.agents.sdk.build"


class _Hints(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        hint(printable(record.getMessage()))


def announce_builds() -> None:
    """Show when an agent is built, from now on."""
    logger = logging.getLogger(_LOGGER)
    if not any(isinstance(each, _Hints) for each in logger.handlers):
        logger.addHandler(_Hints())
        logger.setLevel(logging.INFO)
        logger.propagate = False
