"""Starts a program with the system calls that a unit of systemd leaves it, by systemd's own lists.

python -m tests.agents.syscalls UNIT COMMAND...
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _EPERM, _KILL = 0x7FFF0000, 0x00050001, 0x80000000
_X86_64 = 0xC000003E
_ALWAYS = "@default"  # systemd has these in every list of what is allowed


def allowed(unit: str) -> set[str]:
    """Names of calls that the lines `SystemCallFilter=` of a unit allow; `~` takes away."""
    found = _expanded([_ALWAYS])
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit, re.MULTILINE):
        names = _expanded(line.removeprefix("~").split())
        found = found - names if line.startswith("~") else found | names
    return found


def _expanded(names: list[str]) -> set[str]:
    sets = [name for name in names if name.startswith("@")]
    found = set(names) - set(sets)
    for name in sets:
        found |= _expanded(_listed(name))
    return found


def _listed(name: str) -> list[str]:
    done = subprocess.run(
        ["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True
    )
    lines = [line.split("#")[0].split() for line in done.stdout.splitlines()[1:]]
    return [word for line in lines for word in line]


def restrict(names: set[str]) -> None:
    """Have the kernel refuse all other calls to this process, with EPERM as the unit says."""
    known = dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", HEADER.read_text()))
    code = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _X86_64), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    for number in sorted(int(known[name]) for name in names & known.keys()):
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    code.append((_RETURN, 0, 0, _EPERM))
    program = ctypes.create_string_buffer(b"".join(struct.pack("@HBBI", *each) for each in code))
    head = struct.pack("@HxxxxxxP", len(code), ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(_SET_SECCOMP, _FILTER, head, 0, 0) == 0, os.strerror(ctypes.get_errno())


if __name__ == "__main__":
    restrict(allowed(Path(sys.argv[1]).read_text()))
    os.execv(sys.argv[2], sys.argv[2:])
