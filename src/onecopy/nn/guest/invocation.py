"""What a guest is run with: arguments, environment, folders, streams, checked and opened."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from onecopy.errors import InvalidArgument
from onecopy.guests.wasm.control import MAX_WINDOWS
from onecopy.nn.guest.messages import Folder, Start
from onecopy.nn.guest.windows import opened as opened_windows
from onecopy.store.wire import FDS_LIMIT, MESSAGE_LIMIT

if TYPE_CHECKING:
    from onecopy.guests.windows.source import Source

Stream = int | IO[Any] | None
Folders = Mapping[str, "str | os.PathLike[str] | tuple[str | os.PathLike[str], str]"]

_FOLDERS: Final = FDS_LIMIT - 8 - MAX_WINDOWS
_PROC: Final = Path("/proc")
_ACCESS: Final = ("rw", "ro")
_LEAST_MEMORY, _MOST_MEMORY = 1 << 16, 1 << 32


class Invocation(NamedTuple):
    """What goes to the process of a guest; the descriptors are open only while it is made."""

    start: Start
    streams: tuple[int, ...]
    folders: tuple[int, ...]
    windows: tuple[int, ...]
    windows_nbytes: int


@contextmanager
def opened(
    args: Sequence[str],
    env: Mapping[str, str],
    dirs: Folders,
    streams: Sequence[Stream],
    memory_limit: int,
    windows: Mapping[str, Any] | None = None,
) -> Iterator[Invocation]:
    """Yield an invocation, with its folders and windows open.

    Raises:
        InvalidArgument, WindowRefused: something of it cannot be given to a guest.
        OSError: a folder is not there.
    """
    windows = windows or {}
    _check_texts([*args, *env, *env.values(), *dirs, *windows])
    if not _LEAST_MEMORY <= memory_limit <= _MOST_MEMORY:
        raise InvalidArgument(f"memory_limit={memory_limit}: 64 KiB to 4 GiB are possible")
    with ExitStack() as stack:
        numbers = tuple(_stream(each, number, stack) for number, each in enumerate(streams))
        parsed = {name: _folder(value) for name, value in dirs.items()}
        fds = tuple(_open(path, stack) for path, _ in parsed.values())
        folders = tuple(Folder(name, writable) for name, (_, writable) in parsed.items())
        sources = opened_windows(windows, stack) if windows else {}
        shown = tuple((name, source.fields()) for name, source in sources.items())
        start = Start(tuple(args), tuple(env.items()), folders, memory_limit, shown)
        segments = tuple(source.fd for source in sources.values())
        yield Invocation(start, numbers, fds, segments, _extent(sources))


def _extent(sources: Mapping[str, Source]) -> int:
    return sum(each.extent for each in sources.values())


def _check_texts(texts: Sequence[str]) -> None:
    for each in texts:
        if not isinstance(each, str) or "\0" in each:
            raise InvalidArgument(f"{each!r}: arguments of a guest are texts without NUL")
    # Half of a datagram: some are followed by others, and by what msgpack adds.
    if sum(len(each.encode(errors="replace")) + 8 for each in texts) > MESSAGE_LIMIT // 2:
        raise InvalidArgument(
            f"arguments and environment have more than {MESSAGE_LIMIT // 2} bytes; put them into a "
            "file in one of the guest's folders"
        )


def _folder(value: Any) -> tuple[Any, bool]:
    path, access = value if isinstance(value, tuple) else (value, "rw")
    if access not in _ACCESS:
        raise InvalidArgument(f"a folder is given with rw or ro, not {access!r}")
    return path, access == "rw"


def _open(path: Any, stack: ExitStack) -> int:
    if len(stack._exit_callbacks) > _FOLDERS:  # type: ignore[attr-defined]
        raise InvalidArgument(f"more than {_FOLDERS} folders; give the guest one above them")
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    real = Path(f"/proc/self/fd/{fd}").readlink()
    if real in (*_PROC.parents, _PROC) or _PROC in real.parents:
        raise InvalidArgument(
            f"{path} has the files of {_PROC} in it, by which a guest could change its own "
            "process; give it a folder below"
        )
    return fd


def _stream(stream: Stream, inherited: int, stack: ExitStack) -> int:
    if stream is None:
        return inherited
    if stream == subprocess.DEVNULL:
        fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        return fd
    try:
        fd = stream if isinstance(stream, int) else stream.fileno()
        os.fstat(fd)
    except (AttributeError, OSError, ValueError):
        raise InvalidArgument(
            f"{stream!r} is no open file: give a descriptor, a file or subprocess.DEVNULL"
        ) from None
    return fd
