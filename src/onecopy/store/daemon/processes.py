"""The processes that hold something here, and their death.

A connection's end is no sign of it: a forked child keeps its parent's connections open. A
pidfd is. It is opened when a process first takes what must be given back.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.store.daemon.loop import Loop
    from onecopy.store.daemon.peer import Peer


class Process(NamedTuple):
    """A client process: its pid, and the token that it drew, which a forked child draws anew."""

    pid: int
    token: bytes


class Processes:
    """Watches processes; `died(process)` is called once for each that ends."""

    def __init__(self, loop: Loop, died: Callable[[Process], None]) -> None:
        self._loop = loop
        self._died = died
        self._pidfds: dict[Process, int] = {}

    def watch(self, peer: Peer) -> None:
        """Watch the process of a peer from now on.

        Where the kernel gives no pidfd (another pid namespace), its connections must tell.
        """
        process = peer.process
        if process is None or process in self._pidfds:
            return
        fd = peer.open_pidfd()
        if fd is not None:
            self._pidfds[process] = fd
            self._loop.add(fd, lambda _: self._end(process))

    def watched(self, process: Process) -> bool:
        """Say whether the kernel will tell us of this process's end."""
        return process in self._pidfds

    def forget(self, process: Process) -> None:
        """Stop watching a process that holds nothing any more."""
        fd = self._pidfds.pop(process, None)
        if fd is not None:
            self._loop.remove(fd)
            os.close(fd)

    def _end(self, process: Process) -> None:
        self.forget(process)
        self._died(process)
