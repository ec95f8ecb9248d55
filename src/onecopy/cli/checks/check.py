"""The outcome of one check."""

from __future__ import annotations

from enum import Enum

import msgspec


class Status(str, Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """It works, though not as well as it could."""
    FAIL = "fail"
    """The store, or a part of it, cannot work."""


class Check(msgspec.Struct, frozen=True):
    """What was looked at, what was found, and how to mend it."""

    name: str
    status: Status
    detail: str
    remedy: str = ""


def judge(
    name: str, fine: bool, detail: str, remedy: str, otherwise: Status = Status.WARN
) -> Check:
    """Make a check whose remedy is told only if it is needed."""
    return Check(name, Status.OK, detail) if fine else Check(name, otherwise, detail, remedy)
