"""Ways to open what a slot names: by the daemon's descriptor in /proc, or by asking the daemon."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import TYPE_CHECKING, Final, Protocol

from onecopy.errors import LimitReached
from onecopy.segments.region import reopen
from onecopy.store import messages, wire
from onecopy.store.channel import Disconnected

if TYPE_CHECKING:
    from onecopy.store.index.slot import Found
    from onecopy.store.session import Session

FLAGS: Final = {
    messages.READ: os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK,
    messages.WRITE: os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK,
    messages.SPEC: os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK,
}


class Opener(Protocol):
    """A way to open what a slot names, with a file description of its own."""

    @property
    def directory(self) -> int | None:
        """A descriptor of /proc/<daemon>/fd, for those who can open entries there."""
        ...

    def open(self, found: Found, what: int) -> int | None:
        """Return a descriptor of its segment, to read or to write, or of its spec.

        It is None if the slot no longer names it. `what` is one of `messages.READ` …
        """
        ...


class DirectOpener:
    """Opens /proc/<daemon>/fd/<n>: the daemon is not asked."""

    def __init__(self, directory: int) -> None:
        # A descriptor of the directory, not its path: it stays this process's if the pid is reused.
        self.directory: int = directory

    def open(self, found: Found, what: int) -> int | None:
        """Open the daemon's descriptor by its number, which the slot tells."""
        return self.open_number(found.spec_fd if what == messages.SPEC else found.fd, what)

    def open_number(self, number: str, what: int) -> int | None:
        """Open one of the daemon's descriptors; None if it has none of that number."""
        while True:
            try:
                return os.open(number, FLAGS[what], dir_fd=self.directory)
            except BlockingIOError:
                # The daemon asks this very moment whether anybody uses it, for a microsecond.
                time.sleep(0)
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    raise _out_of_files(error) from error
                return None

    def number_of(self, ino: int) -> str | None:
        """Return the number of the daemon's descriptor of a memfd, entry or no longer one."""
        with os.scandir(self.directory) as entries:
            for each in entries:
                try:
                    status = each.stat()
                except OSError:  # Closed meanwhile.
                    continue
                if status.st_ino == ino and stat.S_ISREG(status.st_mode):
                    return each.name
        return None

    def __del__(self) -> None:
        os.close(self.directory)


def _out_of_files(error: OSError) -> LimitReached:
    return LimitReached(
        error.errno, "no file descriptor is left to open the entry; raise `ulimit -n`"
    )


class SocketOpener:
    """Asks the daemon for a descriptor: where its /proc cannot be seen, or is not ours."""

    directory: Final = None

    def __init__(self, session: Session) -> None:
        self._session = session

    def open(self, found: Found, what: int) -> int | None:
        """Fetch a descriptor that the daemon has opened anew for us."""
        request = messages.Fetch([(found.slot, found.generation, what)])
        try:
            reply, fds = self._session.use(lambda channel: channel.exchange(request))
        except (Disconnected, FileNotFoundError, ConnectionRefusedError):
            return None
        if isinstance(reply, messages.Fetched) and len(fds) == 1:
            return fds[0]
        wire.close_all(fds)
        return None


def choose_opener(
    session: Session, welcome: messages.Welcome, index: int, direct: bool | None
) -> Opener:
    """Choose how to open entries: directly, if /proc shows the daemon that we talk to."""
    if direct is not False:
        opener = _direct_opener(welcome, index)
        if opener is not None:
            return opener
    return SocketOpener(session)


def _direct_opener(welcome: messages.Welcome, index: int) -> DirectOpener | None:
    # The pid is the daemon's own word for itself. In another pid namespace it names a stranger,
    # so look whether that process has our index open under the number that the daemon told.
    try:
        directory = os.open(f"/proc/{welcome.pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    opener = DirectOpener(directory)
    try:
        seen = os.stat(str(welcome.index_fd), dir_fd=directory)
        os.close(reopen(index))
    except OSError:
        return None
    return opener if os.path.samestat(seen, os.fstat(index)) else None
