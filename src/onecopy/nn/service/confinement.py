"""What a process gives up before it loads a model that a guest brought.

Libraries of models are large and written in C++, and parse what a guest made: this is for the day
on which one of them does what the model says. Done before they are imported, so that it holds
for the threads that they start.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from onecopy.nn.guest import landlock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onecopy.nn.backends.backend import Backend

# What the C library and the libraries of models read: code, and what processors there are.
_READ: Final = (
    *("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system", "/sys/bus"),
    *("/dev/null", "/dev/urandom"),
)


def enter(backend: Backend, folder: Path, memory: int = 0) -> str:
    """Confine this process to reading code, and to writing in its own folder.

    Nothing is executed, no TCP connection made and nobody signalled from here on, as far as the
    kernel's Landlock knows how.

    Args:
        backend: what will load the model; its own code may be read.
        folder: where this process keeps its socket and its log.
        memory: how many bytes of memory it may have of its own; 0 for any number.

    Returns:
        Empty, or what of it this kernel cannot do.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    with contextlib.ExitStack() as stack:
        readable = [(_open(path, stack), False) for path in _code(backend)]
        return landlock.confine([*readable, (_open(folder, stack), True)])


def _open(path: Path, stack: contextlib.ExitStack) -> int:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return fd


def _code(backend: Backend) -> Iterator[Path]:
    package = Path(__file__).parents[2]
    module = getattr(sys.modules.get(type(backend).__module__), "__file__", None)
    own = [Path(module).parent] if module else []
    for path in (Path(sys.prefix), Path(sys.base_prefix), package, *own, *map(Path, _READ)):
        if path.exists():
            yield path
