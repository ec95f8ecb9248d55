"""What a person who looks at the run sees."""

from __future__ import annotations

from onecopy_agent.host import call


def debug(message: object) -> None:
    """Write a line that helps who looks for a fault."""
    call("log.write", "debug", str(message))


def info(message: object) -> None:
    """Write a line."""
    call("log.write", "info", str(message))


def warning(message: object) -> None:
    """Write a line on what is odd but goes on."""
    call("log.write", "warning", str(message))


def error(message: object) -> None:
    """Write a line on what failed."""
    call("log.write", "error", str(message))


def step(name: str) -> None:
    """Begin a named part of the run; it ends where the next one begins."""
    call("log.step", name)
