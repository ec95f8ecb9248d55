"""The directory of a store whose entries are files: what is in it, and how that changes.

A file has no name, or a hidden one of ours, until it is complete and on the disk. It gets its
name by one rename, so that at no moment, also not after a crash, a half-written file is an
entry. Clients write the bytes and sync them; here are only names (I3).
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from onecopy.errors import (
    AccessDenied,
    CorruptEntry,
    EntryExists,
    InvalidArgument,
    LimitReached,
    StoreRunning,
)
from onecopy.segments import region, trailer
from onecopy.store.daemon import log
from onecopy.store.filenames import LOCK, MANIFEST, SUFFIX, file_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from onecopy.segments.trailer import Trailer

_TEMPORARY: Final = re.compile(r"\.onecopy-[0-9a-f]{16}\.part")
# Not blocking on a FIFO, not following a link out of the directory.
_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
_NO_TMPFILE: Final = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)

Identity = tuple[int, int]


class FoundFile(NamedTuple):
    """A file that is an entry; its descriptor is whoever's gets this."""

    fd: int
    status: os.stat_result
    trailer: Trailer
    before: bytes
    """The bytes before its trailer, where the spec is: as many as came along."""


class _Draft(NamedTuple):
    """A file that a client fills."""

    identity: Identity
    name: str
    """Its hidden name, or nothing where the file system can do without."""


class Directory:
    """A directory of files that are the entries of one store; nobody else serves it meanwhile."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = _open(path)
        try:
            self._lock = self._take_lock()
            self._refuse_snapshot()
        except BaseException:
            os.close(self.fd)
            raise
        self._drafts: dict[object, _Draft] = {}
        self._files: dict[str, Identity] = {}

    def _take_lock(self) -> int:
        try:
            fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self.fd)
        except PermissionError:
            raise AccessDenied(f"{self.path} cannot be written to; choose another --dir") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise StoreRunning(
                f"another store serves the directory {self.path}; connect to that one, stop it, "
                "or choose another directory"
            ) from None
        return fd

    def _refuse_snapshot(self) -> None:
        if _exists(MANIFEST, self.fd):
            os.close(self._lock)
            raise InvalidArgument(
                f"{self.path} is a snapshot, which a store would change; open it with "
                f"onecopy.open, or serve a copy of it from which {MANIFEST} was removed"
            )

    # ---- what is there ----

    def scan(self) -> Iterator[FoundFile]:
        """Yield every entry there is; what is none is logged and left alone.

        Temporary files of ours, which a crash left behind, are removed.
        """
        with os.scandir(self.fd) as items:
            names = [item.name for item in items]
        for name in names:
            if name.startswith("."):
                if _TEMPORARY.fullmatch(name):
                    self._sweep(name)
            elif name.endswith(SUFFIX):
                found = self._look(name)
                if found is not None:
                    self._files[found.trailer.name.decode()] = _identity(found.status)
                    yield found

    def _look(self, name: str) -> FoundFile | None:
        """Open what may be an entry's file."""
        try:
            fd = os.open(name, _READ, dir_fd=self.fd)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise LimitReached(
                    f"{self.path} has more entries than this process may open files; raise "
                    "`ulimit -n`"
                ) from error
            log.warning(f"{self.path / name} is no entry: {error.strerror}")
            return None
        try:
            return _examine(fd, name)
        except (CorruptEntry, OSError) as error:
            log.warning(f"{self.path / name} is no entry, and was left alone: {error}")
            os.close(fd)
            return None

    def _sweep(self, name: str) -> None:
        """Remove a temporary file, if it is one and ours."""
        status = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
            os.unlink(name, dir_fd=self.fd)
            log.info(f"removed {self.path / name}, which was never completed")
        else:
            log.warning(f"{self.path / name} is not ours, and was left alone")

    # ---- how it changes ----

    def create(self, owner: object) -> int:
        """Return an empty file for a client to fill; it replaces an earlier one of that client."""
        self.discard(owner)
        name = ""
        try:
            fd = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666, dir_fd=self.fd)
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise region.as_full(error) from error
            name = _temporary()
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
            fd = os.open(name, flags, 0o666, dir_fd=self.fd)
        self._drafts[owner] = _Draft(_identity(os.fstat(fd)), name)
        return fd

    def discard(self, owner: object) -> None:
        """Forget the file that a client was filling."""
        draft = self._drafts.pop(owner, None)
        if draft is not None and draft.name:
            os.unlink(draft.name, dir_fd=self.fd)

    def check(self, owner: object, fd: int) -> FoundFile:
        """Return what the client's file says it is, once it is complete.

        Raises `InvalidArgument` for a file that was not made here, for this client.
        """
        status = os.fstat(fd)
        draft = self._drafts.get(owner)
        if draft is None or draft.identity != _identity(status):
            raise InvalidArgument(
                f"this store keeps its entries as files in {self.path}: reserve, fill the file "
                "that the reply brings, and save that one"
            )
        try:
            return FoundFile(fd, status, *trailer.read(fd, status.st_size))
        except CorruptEntry as error:
            raise InvalidArgument(f"the file is no entry: {error}") from error

    def publish(self, owner: object, fd: int, key: bytes, *, overwrite: bool) -> None:
        """Give a client's file its name; from the rename on it is an entry, also after a crash."""
        target = file_name(key)
        if not overwrite and _exists(target, self.fd):
            raise EntryExists(
                f"{self.path / target} is in the way: it is no entry of this store; move it away, "
                "or save with overwrite=True to replace it"
            )
        draft = self._drafts[owner]
        name = draft.name or _temporary()
        try:
            # Read-only from now on, for those who were allowed to read it.
            os.fchmod(fd, os.fstat(fd).st_mode & 0o444)
            if not draft.name:
                os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=self.fd, follow_symlinks=True)
            os.rename(name, target, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except OSError as error:
            raise region.as_full(error) from error
        del self._drafts[owner]
        self._files[key.decode()] = draft.identity

    def remove(self, name: str) -> None:
        """Remove the file of an entry, unless another one has taken its place behind our back."""
        target, identity = file_name(name.encode()), self._files.pop(name)
        try:
            if _identity(os.stat(target, dir_fd=self.fd, follow_symlinks=False)) == identity:
                os.unlink(target, dir_fd=self.fd)
        except FileNotFoundError:
            pass  # Somebody was faster.
        except OSError as error:
            log.warning(f"{self.path / target} could not be removed: {error.strerror}")


def _open(path: Path) -> int:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError as error:
        raise AccessDenied(f"{path}: {error.strerror}; choose another --dir") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise InvalidArgument(f"{path} is not a directory; choose another --dir") from error
    except FileNotFoundError as error:  # Such as below /proc, where nobody makes folders.
        raise InvalidArgument(f"{path} cannot be made; choose another --dir") from error


def _examine(fd: int, name: str) -> FoundFile:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise CorruptEntry("it is not a regular file")
    if status.st_uid != os.geteuid():
        raise CorruptEntry(f"it belongs to user {status.st_uid}")
    found = FoundFile(fd, status, *trailer.read(fd, status.st_size))
    if file_name(found.trailer.name) != name:
        raise CorruptEntry(f"its name should be {file_name(found.trailer.name)}: it is a copy")
    return found


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def _exists(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _temporary() -> str:
    return f".onecopy-{os.urandom(8).hex()}.part"
