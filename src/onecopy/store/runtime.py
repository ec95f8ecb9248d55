"""Where a store's socket, lock, pid and log live, and who may reach them.

One folder for each store below the runtime directory: `$ONECOPY_RUNTIME_DIR`, else
`$XDG_RUNTIME_DIR/onecopy`, else `/tmp/onecopy-<uid>`. Both are 0700 and must be ours: in a
folder of somebody else's making, anybody could sit behind the socket.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final

from onecopy.errors import AccessDenied, StoreRunning
from onecopy.segments.region import as_limit
from onecopy.store.names import check_store_name

ENVIRONMENT: Final = "ONECOPY_RUNTIME_DIR"

# A daemon answers in microseconds. One that takes this many seconds is stopped or stuck.
PATIENCE: Final = 60
_TIMEVAL: Final = struct.pack("ll", PATIENCE, 0)

# sun_path of a Unix socket's address, its final NUL not counted.
_PATH_LIMIT: Final = 107


def runtime_dir() -> Path:
    """Return the runtime directory; it may not exist yet."""
    if chosen := os.environ.get(ENVIRONMENT):
        return Path(chosen)
    if base := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(base) / "onecopy"
    return Path(f"/tmp/onecopy-{os.geteuid()}")


class Place:
    """The folder of one store."""

    def __init__(self, name: str, base: Path | None = None) -> None:
        self.name = check_store_name(name)
        self.base = base or runtime_dir()
        self.folder = self.base / name
        self.socket = self.folder / "socket"
        self.lock = self.folder / "lock"
        self.pid = self.folder / "pid"
        self.log = self.folder / "log"

    def create(self, gid: int | None = None) -> None:
        """Make the folder for us alone or, given `gid`, for that group to enter."""
        _ensure(self.base)
        self.check()
        _ensure(self.folder)
        if gid is not None:
            for folder in (self.base, self.folder):
                os.chown(folder, -1, gid)
                folder.chmod(0o750)

    def check(self) -> None:
        """Raise `AccessDenied` unless the runtime directory is ours and only ours to change."""
        status = self.base.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise _no_directory(self.base)
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise AccessDenied(
                f"{self.base} belongs to user {status.st_uid} with mode "
                f"{stat.S_IMODE(status.st_mode):o}; it must be ours and closed to the writes of "
                f"others: chmod it to 700, or set {ENVIRONMENT} to another directory"
            )

    def claim(self, gid: int | None = None) -> int:
        """Create the folder and take the name; whoever ends meanwhile may remove the folder."""
        while True:
            try:
                self.create(gid)
                return self.take()
            except FileNotFoundError:
                continue

    def take(self) -> int:
        """Lock the store's name for this process and return the lock's descriptor.

        Raises `StoreRunning` if a live daemon has it. The kernel drops the lock when its holder
        dies, so what a dead daemon left behind (a stale socket, too) is ours to replace.
        """
        while True:
            fd = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                raise StoreRunning(
                    f"a store {self.name!r} is running already (in {self.folder}); connect to it, "
                    "stop it, or choose another name"
                ) from None
            if self._is_current(fd):
                return fd
            os.close(fd)

    def _is_current(self, fd: int) -> bool:
        """Say whether the locked file is still the one at its path: its owner may just go."""
        try:
            return os.path.samestat(os.fstat(fd), self.lock.stat())
        except FileNotFoundError:
            return False

    def remove(self, *, keep_log: bool = False, keep_socket: bool = False) -> None:
        """Remove what the daemon made; call it with the lock held."""
        kept = [self.log] * keep_log + [self.socket] * keep_socket
        for path in (self.socket, self.pid, self.log, self.lock):
            if path not in kept:
                path.unlink(missing_ok=True)
        # A runtime directory that somebody chose is theirs, also when it is empty.
        for folder in (self.folder, *[self.base] * (ENVIRONMENT not in os.environ)):
            try:
                folder.rmdir()
            except OSError:
                return

    def bind(self, mode: int = 0o600) -> socket.socket:
        """Return a listening socket; whatever was at its path is replaced."""
        self.socket.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with _Address(self.folder) as address:
            listener.bind(address)
        self.socket.chmod(mode)
        listener.listen(512)
        return listener

    def connect(self) -> socket.socket:
        """Return a socket connected to the daemon; raises OSError if none listens.

        It gives up after `PATIENCE` seconds without an answer, then and later: BlockingIOError.
        """
        if ENVIRONMENT not in os.environ and self.base.exists():
            self.check()
        try:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise as_limit(error) from error
        # The kernel keeps the time: a Python time-out would poll before every call.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            sock.setsockopt(socket.SOL_SOCKET, option, _TIMEVAL)
        try:
            with _Address(self.folder) as address:
                sock.connect(address)
        except PermissionError as error:
            sock.close()
            raise AccessDenied(
                f"{self.folder} is closed to this user; the store's owner can start it with a "
                "group of readers (--group)"
            ) from error
        except NotADirectoryError as error:
            sock.close()
            raise _no_directory(self.base) from error
        except BaseException:
            sock.close()
            raise
        return sock


def _ensure(folder: Path) -> None:
    """Make a folder unless it is there, whoever else makes or removes it meanwhile."""
    while not folder.is_dir():
        try:
            folder.mkdir(mode=0o700, parents=True)
        except (FileExistsError, NotADirectoryError) as error:
            if isinstance(error, NotADirectoryError) or _is_no_folder(folder):
                raise _no_directory(folder) from error


def _no_directory(folder: Path) -> AccessDenied:
    return AccessDenied(f"{folder} is not a directory; remove it, or set {ENVIRONMENT} to one")


def _is_no_folder(path: Path) -> bool:
    """Say whether something else is there: by one look, for what is there comes and goes."""
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return path.is_symlink()


class _Address:
    """The address of a folder's socket, however long the folder's path is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd = -1

    def __enter__(self) -> str:
        path = str(self._folder / "socket")
        if len(os.fsencode(path)) <= _PATH_LIMIT:
            return path
        self._fd = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}/socket"

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def store_names(base: Path | None = None) -> list[str]:
    """Return the names of all stores that have a socket, running or not."""
    return sorted(path.parent.name for path in (base or runtime_dir()).glob("*/socket"))
