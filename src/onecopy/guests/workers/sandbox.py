"""What a worker gives up before it runs anybody's code.

A guest is held by WebAssembly; this is for the day on which that fails. The worker has everything
that it needs in memory and in open descriptors, so it may open nothing, start nothing, signal
nobody, and reach no network. The filter is a program for the kernel's packet filter, written here
instruction by instruction: the kernel's documentation, userspace-api/seccomp_filter, has the rules.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from onecopy.guests.workers import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterable

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_TIMERSLACK: Final = 29
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_SET_MODE_FILTER: Final = 1
_TSYNC: Final = 1
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000

_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_X32_BIT: Final = 0x40000000

OPEN_FILES: Final = 4096
NOTHING: Final[syscalls.Numbers] = {}
# struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period.
_SCHEDULE: Final = struct.Struct("@IIQiIQQQ")
_EXPENDABLE: Final = "500"  # of 1000
_SLACK_NS: Final = 1_000  # 50,000 otherwise
_TURN_NS: Final = 100_000  # the least that the kernel takes


class Machine(NamedTuple):
    """What differs between processors."""

    audit: int
    column: int
    """Of the tables in syscalls.py."""
    seccomp: int
    """The number of the call that installs a filter."""
    schedule: int
    """The number of the call that says how a thread is scheduled."""


MACHINES: Final = {
    "x86_64": Machine(0xC000003E, 0, 317, 314),
    "aarch64": Machine(0xC00000B7, 1, 277, 274),
}


class Rule(NamedTuple):
    """A call is allowed if an argument's low word, masked, is (or is not) one of some values."""

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF
    allowed: bool = True


_THREAD: Final = 0x00010100  # CLONE_VM and CLONE_THREAD
_NAMESPACES: Final = 0x7E020080  # all of CLONE_NEW*
_SHARED_ANONYMOUS: Final = 0x21
_EMPTY_PATH: Final = 0x1000
_FIOCLEX, _PAGEMAP_SCAN = 0x5451, 0xC0606610
# Duplicates, and reading flags and seals. Not F_SETOWN and F_SETSIG, by which signals go to other
# processes. Not F_SETFL (nor FIONBIO): eventfds are shared with the engine, which would wait for
# ever on one that blocks. Not F_ADD_SEALS: the engine maps rows anew, and would find them sealed.
FCNTL: Final = (0, 1, 2, 3, 1030, 1034)
_SET_NAME, _GET_NAME, _SET_VMA = 15, 16, 0x53564D41

RULES: Final[dict[str, Rule]] = {
    "clone": Rule(0, (_THREAD,), mask=_THREAD | _NAMESPACES),
    "fcntl": Rule(1, FCNTL),
    "ioctl": Rule(1, (_FIOCLEX, _PAGEMAP_SCAN)),
    # Memory that is shared with nobody, but that counts as if it were.
    "mmap": Rule(3, (_SHARED_ANONYMOUS,), mask=_SHARED_ANONYMOUS, allowed=False),
    # fstat, as newer C libraries do it.
    "newfstatat": Rule(3, (_EMPTY_PATH,), mask=_EMPTY_PATH),
    "prctl": Rule(0, (_SET_NAME, _GET_NAME, _SET_VMA)),
    "prlimit64": Rule(0, (0,)),
    # abort(): a signal to oneself. The value is this process's id, see `program`.
    "tgkill": Rule(0, ()),
}


def enter(also: syscalls.Numbers = NOTHING, fcntl: tuple[int, ...] = FCNTL) -> str:
    """Confine this process and its threads; return "" or why its system calls are not filtered.

    Everything that has to be opened must be open, and every module imported.

    Args:
        also: system calls that this process may make beside those of all workers.
        fcntl: what it may do with descriptors.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    libc = ctypes.CDLL(None, use_errno=True)
    # Its memory and its descriptors are no business of other processes of this user.
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return "the kernel does not know no_new_privs"
    return _filter(libc, also, fcntl)


def forbid(calls: syscalls.Numbers) -> str:
    """Take back some of what `enter` has allowed; return "" or why that failed."""
    machine = MACHINES.get(platform.machine())
    if machine is None:
        return f"no filter is written for {platform.machine()}"
    # All filters are asked, and the strictest answer counts: `enter`'s stays as it is.
    code = [_op(_LOAD, _NUMBER_AT), *_all(calls, machine.column, _ERRNO | errno.EPERM)]
    return _install(ctypes.CDLL(None, use_errno=True), machine, [*code, _op(_RETURN, _ALLOW)])


def end_with_parent(parent: int) -> None:
    """Let the kernel end this process when the thread that started it does."""
    import signal

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked
        os.kill(os.getpid(), signal.SIGKILL)


def ask_for_short_turns() -> None:
    """Have the kernel prefer short turns for this thread, and those that it starts, to long ones.

    Who answers within microseconds should not wait for the end of somebody's milliseconds, and nor
    should the clock of deadlines, which otherwise sleeps a tenth longer than it asks to. Turns need
    Linux 6.12; elsewhere that changes nothing.
    """
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _SLACK_NS, 0, 0, 0)
    machine = MACHINES.get(platform.machine())
    if machine is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _SCHEDULE.pack(_SCHEDULE.size, os.SCHED_OTHER, 0, nice, 0, _TURN_NS, 0, 0)
    ctypes.CDLL(None).syscall(machine.schedule, 0, attributes, 0)


def go_first_when_memory_runs_out() -> None:
    """Have the kernel end a worker rather than the engine."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_EXPENDABLE)


def _filter(libc: ctypes.CDLL, also: syscalls.Numbers, fcntl: tuple[int, ...]) -> str:
    machine = MACHINES.get(platform.machine())
    if machine is None:
        return f"no filter is written for {platform.machine()}"
    return _install(libc, machine, [program(machine, os.getpid(), also, fcntl)])


def _install(libc: ctypes.CDLL, machine: Machine, instructions: Iterable[bytes]) -> str:
    code = b"".join(instructions)
    kept = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(code) // 8, ctypes.addressof(kept))
    if libc.syscall(machine.seccomp, _SECCOMP_SET_MODE_FILTER, _TSYNC, header):
        return f"seccomp: {os.strerror(ctypes.get_errno())}"
    return ""


def program(
    machine: Machine,
    pid: int,
    also: syscalls.Numbers = NOTHING,
    fcntl: tuple[int, ...] = FCNTL,
) -> bytes:
    """Return the filter: each known call has its own few instructions, then EPERM."""
    column = machine.column
    code = [
        _op(_LOAD, _ARCH_AT),
        _op(_EQUAL, machine.audit, 1, 0),
        _op(_RETURN, _KILL),
        _op(_LOAD, _NUMBER_AT),
        # The 32-bit numbers of x86-64 would pass all that follows.
        _op(_AT_LEAST, _X32_BIT, 0, 1),
        _op(_RETURN, _KILL),
    ]
    # What comes first counts.
    code += _all({**syscalls.ALLOWED, **also}, column, _ALLOW)
    code += _all(syscalls.ABSENT, column, _ERRNO | errno.ENOSYS)
    code += _all(syscalls.KILLED, column, _KILL)
    for name, numbers in syscalls.CHECKED.items():
        rule = RULES[name]
        values = {"tgkill": (pid,), "fcntl": fcntl}.get(name, rule.values)
        body = _check(rule._replace(values=values))
        code += [_op(_EQUAL, numbers[column] or 0, 0, len(body)), *body]
    code.append(_op(_RETURN, _ERRNO | errno.EPERM))
    return b"".join(code)


def _all(numbers: syscalls.Numbers, column: int, action: int) -> Iterable[bytes]:
    for pair in numbers.values():
        number = pair[column]
        if number is not None:
            yield _op(_EQUAL, number, 0, 1)
            yield _op(_RETURN, action)


def _check(rule: Rule) -> list[bytes]:
    met, other = _ALLOW, _ERRNO | errno.EPERM
    if not rule.allowed:
        met, other = other, met
    tests = []
    for value in rule.values:
        tests += [_op(_EQUAL, value, 0, 1), _op(_RETURN, met)]
    # Little-endian machines only: the low word comes first.
    low = _op(_LOAD, _ARGUMENTS_AT + 8 * rule.argument)
    return [low, _op(_AND, rule.mask), *tests, _op(_RETURN, other)]


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("@HBBI", code, if_true, if_false, value)
