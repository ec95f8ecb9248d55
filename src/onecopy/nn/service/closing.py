"""What a process gives up before it looks at a model that a guest brought.

Libraries parse such a model, and parsers have bugs. So the process reads libraries and nothing
else, writes no file, starts no process, reaches no network and signals nobody; its memory has a
limit. All that it needs is open: the listening socket, the model's bytes, its log.
"""

from __future__ import annotations

import os
import resource
import site
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final

from onecopy.guests.workers import sandbox
from onecopy.nn.guest import landlock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.guests.workers.syscalls import Numbers
    from onecopy.nn.backends.backend import Backend

# Beside those of workers: files are opened by libraries while they are imported, and clients come.
ALSO: Final[Numbers] = {
    "openat": (257, 56),
    "newfstatat": (262, 79),
    "stat": (4, None),
    "lstat": (6, None),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    "fadvise64": (221, 223),
    "accept4": (288, 242),
    "listen": (50, 201),
    "get_mempolicy": (239, 236),
}
_SYSTEM: Final = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/sys/devices/system",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/dev/urandom",
)
_NOWHERE: Final = "/dev/null"
"""The one file that may be written: libraries open it to be silent."""
_LOG_NBYTES: Final = 1 << 24


def libraries() -> list[str]:
    """Return the folders of this interpreter's libraries: not those of programs and users."""
    found = {sysconfig.get_path(each) for each in ("stdlib", "platstdlib", "purelib", "platlib")}
    found |= {str(Path(each, "lib")) for each in (sys.prefix, sys.base_prefix)}
    if (users := site.getusersitepackages()) in sys.path:
        found.add(users)
    return [str(Path(__file__).parents[3]), *sorted(found)]


def code_of(backend: Backend) -> list[str]:
    """Return the folder of a backend's own code, which may be somebody else's."""
    module = getattr(sys.modules.get(type(backend).__module__), "__file__", None)
    return [str(Path(module).parent)] if module else []


def close_off(memory: int, more: Sequence[str] = ()) -> list[str]:
    """Confine this process, before it has threads; return what of it this kernel cannot do.

    Args:
        memory: how many bytes of its own it may have.
        more: folders of code that it may read.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LOG_NBYTES, _LOG_NBYTES))
    opened = [
        (os.open(each, os.O_PATH | os.O_CLOEXEC), each == _NOWHERE)
        for each in (*libraries(), *more, *_SYSTEM, _NOWHERE)
        if Path(each).exists()
    ]
    try:
        lacks = landlock.confine(opened)
    finally:
        for fd, _ in opened:
            os.close(fd)
    return [each for each in (lacks, sandbox.enter(ALSO)) if each]
