"""What the process of a guest can do, whatever runs in it: the attempts of code that broke out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from onecopy.guests.workers import sandbox
from onecopy.nn.guest import landlock
from onecopy.nn.guest.syscalls import CONFINING
from tests.processes import output_of

# The process closes itself off as before a guest, and then tries something in Python. (With
# `dir_fd`, which does not matter for whole paths, Python makes the calls that wasmtime makes.)
PROGRAM = """
import ctypes, fcntl, mmap, os, resource, signal, socket, sys
from onecopy.nn.guest import runner
from onecopy.nn.guest.messages import Folder, Start
runner.Runner(None, None)
ours, theirs = socket.socketpair()
before = os.open("/etc/hostname", os.O_RDONLY)
libc = ctypes.CDLL(None, use_errno=True)
print([runner.filter_calls()])
folder = os.open(sys.argv[1], os.O_PATH | os.O_DIRECTORY)
start = Start((), (), (Folder("/"),), 1 << 20)
print(runner.close_off(start, [folder]))
for attempt in sys.argv[2:]:
    try:
        exec(attempt)
        print("did it")
    except OSError as error:
        print("refused", error.errno)
"""

pytestmark = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")


def tried(folder: Path, *attempts: str) -> list[str]:
    unfiltered, lacks, *said = output_of(PROGRAM, folder, *attempts).splitlines()
    assert (unfiltered, lacks) == ("['']", "[]")
    assert len(said) == len(attempts)
    return said


def test_a_process_of_a_guest_is_refused_everything_else(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("secret")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    attempts = [
        f"open({str(outside)!r})",
        f"open({str(inside / 'link')!r})",
        f"open({str(inside / '../outside')!r}, 'w')",
        f"os.link({str(outside)!r}, {str(inside / 'hard')!r}, src_dir_fd=before)",
        f"os.rename({str(outside)!r}, {str(inside / 'mine')!r}, src_dir_fd=before)",
        f"os.rename({str(inside / 'link')!r}, {str(tmp_path / 'out')!r}, src_dir_fd=before)",
        f"os.unlink({str(outside)!r}, dir_fd=before)",
        f"os.mkdir({str(tmp_path / 'new')!r}, dir_fd=before)",
        "open('/proc/self/mem', 'r+b')",
        "open('/proc/self/environ')",
        "open('/dev/shm/onecopy-test', 'w')",
        f"os.mkfifo({str(inside / 'pipe')!r})",
        f"os.chmod({str(inside)!r}, 0o777)",
        f"os.chown({str(inside)!r}, 1, 1)",
        f"os.setxattr({str(inside)!r}, 'user.x', b'')",
        "socket.socket()",
        "socket.socket(socket.AF_UNIX)",
        "socket.socketpair()",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.kill(os.getppid(), 0)",
        "os.pidfd_open(os.getppid())",
        "os.chdir('/')",
        "fcntl.fcntl(ours, fcntl.F_SETOWN, os.getppid())",
        "fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC)",
        "resource.prlimit(os.getppid(), resource.RLIMIT_CORE)",
        "mmap.mmap(-1, 4096)",
    ]
    answers = dict(zip(attempts, tried(inside, *attempts), strict=True))
    assert [each for each, answer in answers.items() if answer == "did it"] == []
    assert outside.read_text() == "secret"
    assert os.listdir(inside) == ["link"]


# Every filter and every rule is code of the kernel's that nobody needs any more.
def test_what_confined_the_process_is_taken_back(tmp_path):
    column = sandbox.MACHINES[os.uname().machine].column
    attempts = [
        f"if libc.syscall({number[column]}, 0, 0, 0) < 0: raise OSError(ctypes.get_errno(), '')"
        for number in CONFINING.values()
    ]
    assert tried(tmp_path, *attempts) == ["refused 1"] * len(CONFINING)


def test_what_guests_need_still_works(tmp_path):
    path = str(tmp_path / "x")
    attempts = [
        f"open({path!r}, 'w').write('x')",
        f"os.rename({path!r}, {path + 'y'!r}, src_dir_fd=before)",
        f"os.mkdir({path!r}, dir_fd=before)",
        f"os.rmdir({path!r}, dir_fd=before)",
        f"os.listdir({str(tmp_path)!r})",
        f"os.stat({path + 'y'!r})",
        f"os.unlink({path + 'y'!r}, dir_fd=before)",
        "os.read(before, 1)",
        "import threading; threading.Thread(target=int).start()",
        "os.pwritev(os.memfd_create('x', os.MFD_ALLOW_SEALING), [b'x'], 0)",
        "fd = os.memfd_create('x', 2); fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)",
        "ours.send(b'x')",
        "os.urandom(8)",
    ]
    answers = dict(zip(attempts, tried(tmp_path, *attempts), strict=True))
    assert [each for each, answer in answers.items() if answer != "did it"] == []
