"""Eventfds between the engine and a worker."""

from __future__ import annotations

import os

from onecopy.guests.batch import eventfds
from onecopy.store import wire


def test_an_empty_bell_can_be_heard() -> None:
    fd, other = eventfds.made(2)
    eventfds.hear(fd)
    os.eventfd_write(fd, 3)
    eventfds.hear(fd)
    eventfds.hear(fd)
    assert not os.get_inheritable(fd)
    wire.close_all([fd, other])
