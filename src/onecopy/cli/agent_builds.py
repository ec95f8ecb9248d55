"""Saying what takes seconds before an agent runs for the first time; the library logs it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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


@contextmanager
def announcing_builds() -> Iterator[None]:
    """Show meanwhile what is built, compiled or saved for an agent, once each.

    ```python
    @announcing_builds()
    def run(folder: Path) -> None: ...
    ```
    """
    with ExitStack() as stack:
        for logger in map(logging.getLogger, _LOGGERS):
            stack.enter_context(_shown(logger))
        yield


@contextmanager
def _shown(logger: logging.Logger) -> Iterator[None]:
    handler, before = _Hints(), (logger.level, logger.propagate)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
