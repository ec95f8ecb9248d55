"""Asking the kernel whether anybody still uses a segment.

A write lease is granted only while no other open file description of the file exists, and
every mapping holds one. So a lease that is granted, and given back at once, says: nobody.
It knows of readers that were killed, of forked children, of mappings without descriptors.

Rules learned by running it: probe only through a description of your own that was *opened*
(`region.reopen`), never through the one that memfd_create returned; only one process may
probe; whoever opens during a probe makes the kernel send SIGIO to the prober, whose default
is to kill it; readers open with O_NONBLOCK and try again on EWOULDBLOCK.
"""

from __future__ import annotations

import errno
import fcntl
import signal


def prepare() -> None:
    """Make this process fit to probe: call once, in its main thread."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)


def in_use(fd: int, *, unknown: bool = True) -> bool:
    """Say whether anybody but the holder of `fd` has this file open or mapped.

    `unknown` is the answer where the kernel has none: for a file of another user, or on a file
    system that knows no leases.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else unknown
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
