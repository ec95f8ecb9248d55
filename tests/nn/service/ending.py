"""Waiting for processes of models to end."""

from __future__ import annotations

import os
import select

from onecopy.nn.service.running import running
from onecopy.nn.service.spot import base
from tests.guests.waiting import eventually


def wait_until_ended() -> None:
    """Return when no process of a model runs any more for this test."""
    while True:
        loaded = running()
        if not loaded:
            return
        for each in loaded:
            wait_for(each.pid)


def wait_until_clean() -> None:
    """Return when nothing of them is left, also no folder, which a keeper may yet remove."""
    wait_until_ended()
    eventually(lambda: not base().exists())


def wait_for(pid: int) -> None:
    """Return when a process has ended."""
    try:
        fd = os.pidfd_open(pid)
    except (ProcessLookupError, ValueError, OSError):
        return
    select.select([fd], [], [])
    os.close(fd)
