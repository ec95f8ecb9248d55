"""Where the process of a model has its socket, lock and log.

A folder for each, named by the model's identity, in `.nn` of the runtime directory (whose names of
stores cannot start with a dot). Whoever starts or ends a process holds the lock; the socket says
whether one runs: the kernel refuses a connection when nobody listens any more, so what a killed
process left behind is known by that, and is replaced.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

from onecopy.errors import AccessDenied
from onecopy.store.runtime import Place, runtime_dir

if TYPE_CHECKING:
    from collections.abc import Iterator


_FOLDER: Final = ".nn"
_LAST_WORDS: Final = 2000
_FOREVER: Final = struct.pack("ll", 0, 0)
_CREDENTIALS: Final = struct.Struct("3i")
_GONE: Final = (errno.ENOENT, errno.ECONNREFUSED, errno.ECONNRESET)


def base() -> Path:
    """Return the folder of all of them; it may not exist yet."""
    return runtime_dir() / _FOLDER


class Spot:
    """The folder of one process."""

    def __init__(self, key: str, folder: Path | None = None) -> None:
        self.key = key
        self.place = Place(key, folder or base())

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.place.folder

    def connect(self) -> socket.socket | None:
        """Return a connection to the process, or None if none runs.

        Raises:
            AccessDenied: somebody else listens there.
        """
        try:
            sock = self.place.connect()
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise
        uid = _CREDENTIALS.unpack(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )[1]
        if uid != os.geteuid():
            sock.close()
            raise AccessDenied(f"user {uid} listens in {self.folder}, which is not theirs")
        # A model may take longer to load and to compute than a store does to answer.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            sock.setsockopt(socket.SOL_SOCKET, option, _FOREVER)
        return sock

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Have the right to start or end the process."""
        fd = self._lock(fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def locked_at_once(self) -> Iterator[bool]:
        """Like `locked`, but give False instead of waiting."""
        try:
            fd = self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            os.close(fd)

    def _lock(self, how: int) -> int:
        while True:
            try:
                self._create()
                fd = os.open(self.place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                continue  # Whoever ends a process removes its folder.
            try:
                fcntl.flock(fd, how)
                if self._is_current(fd):
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def _create(self) -> None:
        outer = Place(self.key, self.place.base.parent)
        outer.base.mkdir(mode=0o700, parents=True, exist_ok=True)
        outer.check()
        self.place.create()

    def _is_current(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self.place.lock.stat())
        except FileNotFoundError:
            return False

    def sign(self, backend: str, name: str) -> None:
        """Write down that this process has started, for those who ask while it is busy."""
        self.place.pid.write_text(f"{os.getpid()}\n{backend}\n{name}\n")

    def signed(self) -> tuple[int, str, str]:
        """Return the process that started last, its backend and model; 0 if none has yet."""
        try:
            pid, backend, name = self.place.pid.read_text().split("\n", 2)
            return int(pid), backend, name.rstrip("\n")
        except (OSError, ValueError):
            return 0, "", ""

    def pid(self) -> int:
        """Return the process that started last; 0 if none has yet."""
        return self.signed()[0]

    def last_words(self) -> str:
        """Return the end of what the process wrote to its standard error, for an error's text."""
        try:
            with self.place.log.open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - _LAST_WORDS))
                text = log.read().decode(errors="replace").strip()
        except OSError:
            return ""
        return f"; its last words: {text}" if text else ""

    def remove(self) -> None:
        """Remove the folder; with the lock held, and nobody listening."""
        self.place.remove()
        with contextlib.suppress(OSError):  # there are others
            self.place.base.rmdir()

    def runs(self) -> bool:
        """Say whether a process runs, or is starting."""
        sock = self.connect()
        if sock is None:
            return False
        sock.close()
        return True


def last_words_behind(sock: socket.socket) -> str:
    """Return the last words of the process at the other end, if this process may read them."""
    try:
        folder = Path(sock.getpeername()).parent
    except OSError:
        return ""
    return Spot(folder.name, folder.parent).last_words() if folder.parent.name == _FOLDER else ""


def spots(folder: Path | None = None) -> list[Spot]:
    """Return those of this user; some may have no process any more."""
    folder = folder or base()
    try:
        return [Spot(each.name, folder) for each in sorted(folder.iterdir()) if each.is_dir()]
    except FileNotFoundError:  # The last process to end takes the folder with it.
        return []


def sweep(but: Spot) -> None:
    """Remove what killed processes left behind."""
    for spot in spots():
        if spot.key == but.key:
            continue
        with spot.locked_at_once() as mine:
            if mine and not spot.runs():
                spot.remove()
