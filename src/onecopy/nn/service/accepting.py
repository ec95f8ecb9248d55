"""Taking connections in a process that is closed off: it cannot change how they block."""

from __future__ import annotations

import ctypes
import os
import socket

_accept4 = ctypes.PyDLL(None, use_errno=True).accept4


class _Accepted(socket.socket):
    """A connection that never blocks, from the first."""

    def setblocking(self, flag: bool) -> None:
        """Do nothing: it is so, and a process that is closed off could not change it."""


def accept(listener: socket.socket) -> socket.socket:
    """Take a connection that waits; raises `BlockingIOError` if there is none."""
    fd = _accept4(listener.fileno(), None, None, socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return _Accepted(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=fd)
