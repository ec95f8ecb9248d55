"""The calls of guests with files, beside those of all workers."""

from __future__ import annotations

import pytest

from onecopy.guests.workers import syscalls
from onecopy.guests.workers.sandbox import MACHINES, program
from onecopy.nn.guest.syscalls import FCNTL, FILES


@pytest.mark.parametrize("machine", MACHINES.values())
def test_no_number_is_two_calls(machine):
    known = {**syscalls.ALLOWED, **syscalls.CHECKED, **syscalls.ABSENT, **syscalls.KILLED}
    assert not set(FILES) & set(syscalls.KILLED)
    numbers = [pair[machine.column] for pair in {**known, **FILES}.values()]
    present = [each for each in numbers if each is not None]
    assert len(set(present)) == len(present)


@pytest.mark.parametrize("machine", MACHINES.values())
def test_other_workers_do_not_get_them(machine):
    assert program(machine, 1) != program(machine, 1, FILES, FCNTL)
    assert len(program(machine, 1)) < len(program(machine, 1, FILES, FCNTL)) < 8 * 4096


def test_nothing_starts_a_program_or_opens_a_socket():
    forbidden = {"execve", "execveat", "socket", "connect", "bind", "fork", "vfork", "kill"}
    assert not forbidden & {*FILES, *syscalls.ALLOWED, *syscalls.CHECKED}
