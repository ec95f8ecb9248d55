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
from typing import Final


def prepare() -> None:
    """Make this process fit to probe: call once, in its main thread."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)


# For a file of another user; on file systems that know no leases.
_UNKNOWN: Final = (errno.EACCES, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS)


def in_use(fd: int, *, unknown: bool = True) -> bool:
    """Say whether anybody but the holder of `fd` has this file open or mapped.

    `unknown` is the answer where the kernel has none.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return True
        if error.errno in _UNKNOWN:
            return unknown
        raise
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
