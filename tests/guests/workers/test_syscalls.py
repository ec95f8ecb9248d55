"""The tables of system calls, against the headers of this machine's C library."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from onecopy.guests.workers import sandbox, syscalls

TABLES = {
    "allowed": syscalls.ALLOWED,
    "checked": syscalls.CHECKED,
    "absent": syscalls.ABSENT,
    "killed": syscalls.KILLED,
}
HEADERS = {
    0: [
        "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
        "/usr/include/asm/unistd_64.h",
    ],
    1: ["/usr/include/asm-generic/unistd.h"],
}
# The newest calls, which are missing in older headers, and those with another name there.
NAMED_OTHERWISE = {"newfstatat": ("newfstatat", "fstatat", "3264_fstatat")}


def defined(column: int) -> dict[str, int]:
    """Return what the kernel's header says, where it is installed."""
    for path in map(Path, HEADERS[column]):
        if path.exists():
            found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\b", path.read_text())
            return {name: int(number) for name, number in found}
    pytest.skip("the kernel's headers are not installed")


@pytest.mark.parametrize("machine", sandbox.MACHINES)
@pytest.mark.parametrize("table", TABLES)
def test_numbers_are_those_of_the_kernel_s_headers(table: str, machine: str) -> None:
    column = sandbox.MACHINES[machine].column
    known = defined(column)
    for name, numbers in TABLES[table].items():
        spelled = next((each for each in NAMED_OTHERWISE.get(name, (name,)) if each in known), None)
        if spelled is not None and numbers[column] is not None:
            assert numbers[column] == known[spelled], name


@pytest.mark.parametrize("table", TABLES)
def test_a_call_that_a_machine_lacks_is_one_that_has_a_newer_form(table: str) -> None:
    lacking = {name for name, (_, arm) in TABLES[table].items() if arm is None}
    assert lacking <= {"dup2", "poll", "select", "epoll_wait", "time"}
    assert all(x86 is not None for x86, _ in TABLES[table].values())


@pytest.mark.parametrize(
    "name",
    [
        *("open", "openat", "openat2", "creat", "socket", "connect", "fork", "vfork", "execve"),
        *("kill", "tkill", "rt_sigqueueinfo", "pidfd_open", "pidfd_send_signal", "shmget"),
        *("timer_create", "setitimer", "setns", "unlink", "rename", "chmod", "truncate"),
    ],
)
def test_what_reaches_beyond_the_worker_is_not_allowed(name: str) -> None:
    assert name not in syscalls.ALLOWED
    assert name not in syscalls.CHECKED


def test_this_machine_has_a_column() -> None:
    if platform.machine() not in sandbox.MACHINES:
        pytest.skip("no filter is written for this machine")
    assert sandbox.MACHINES[platform.machine()].column in (0, 1)
