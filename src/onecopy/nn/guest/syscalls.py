"""System calls that a guest with files needs beside those of all workers: x86-64, then aarch64.

They name files by paths or change them, which `landlock.py` confines to the guest's folders. Made
from what wasmtime's WASI does; the numbers are those of the kernel's headers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onecopy.guests.workers import sandbox

if TYPE_CHECKING:
    from onecopy.guests.workers.syscalls import Numbers

FILES: Final[Numbers] = {
    "openat": (257, 56),
    "openat2": (437, 437),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "readlinkat": (267, 78),
    "getdents64": (217, 61),
    "faccessat2": (439, 439),
    "mkdirat": (258, 34),
    "unlinkat": (263, 35),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "linkat": (265, 37),
    "symlinkat": (266, 36),
    "utimensat": (280, 88),
    "futimesat": (261, None),
    "fallocate": (285, 47),
    "fadvise64": (221, 223),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "fstatfs": (138, 44),
    "preadv2": (327, 286),
    "pwritev2": (328, 287),
    # Inputs and outputs travel in segments that this process makes.
    "memfd_create": (319, 279),
}

CONFINING: Final[Numbers] = {
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
    "seccomp": (317, 277),
}
"""What a process does to confine itself to the folders of its guest, and may not do after that."""

FCNTL: Final = (*sandbox.FCNTL, 1033)
"""With F_ADD_SEALS: the segments that it makes are sealed, else nobody would map them."""
