"""What the store asks of the kernel, tried out."""

from __future__ import annotations

import mmap
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from onecopy.cli.checks.check import Check, Status, judge
from onecopy.segments import lease as leases
from onecopy.segments import region
from onecopy.segments.mapping import map_fd
from onecopy.store.index import pulse as pulses

_MFD_NOEXEC_SEAL = 0x0008
_OWNER_DIED = 0x40000000


@contextmanager
def _segment() -> Iterator[int]:
    """Yield a sealed memfd, opened as the daemon has it: by a description of its own."""
    made = region.create("onecopy-doctor")
    try:
        region.write(made, [bytes(region.PAGE)])
        region.seal(made)
        opened = region.reopen(made, os.O_RDWR)
    finally:
        os.close(made)
    try:
        yield opened
    finally:
        os.close(opened)


def memfd() -> Check:
    """Check that memory can be made, and made immutable."""
    remedy = "run on Linux 5.4 or later; a sandbox such as gVisor must allow memfd_create"
    try:
        with _segment() as fd:
            immutable = _refuses_writes(fd)
    except OSError as error:
        return Check("memfd and seals", Status.FAIL, f"refused: {error.strerror}", remedy)
    detail = "works" if immutable else "a sealed segment took a write"
    detail = f"{detail} (Linux {platform.release()})"
    return judge("memfd and seals", immutable, detail, remedy, Status.FAIL)


def _refuses_writes(fd: int) -> bool:
    try:
        os.pwrite(fd, b"x", 0)
    except PermissionError:
        return True
    return False


def noexec() -> Check:
    """Check whether segments can be made that nobody can ever execute."""
    try:
        os.close(os.memfd_create("onecopy-doctor", os.MFD_CLOEXEC | _MFD_NOEXEC_SEAL))
    except OSError:
        return Check(
            "noexec seals",
            Status.WARN,
            "this kernel has none: segments are as safe, but could be executed",
            "optional: Linux 6.3 or later",
        )
    return Check("noexec seals", Status.OK, "works")


def lease() -> Check:
    """Check that the kernel tells whether anybody uses a segment: it decides what is evicted."""
    remedy = "run `sysctl fs.leases-enable=1`; a sandbox such as gVisor cannot do this"
    before = signal.getsignal(signal.SIGIO)
    leases.prepare()
    try:
        seen = _probe_around_a_mapping()
    except OSError as error:
        return Check("write leases", Status.FAIL, f"refused: {error.strerror}", remedy)
    finally:
        signal.signal(signal.SIGIO, before)
    fine = seen == (False, True, False)
    detail = "tell whether a segment is in use" if fine else f"answered {seen}, not no, yes, no"
    return judge("write leases", fine, detail, remedy, Status.FAIL)


def _probe_around_a_mapping() -> tuple[bool, bool, bool]:
    """Ask whether a segment is in use: before it is mapped, while it is, and afterwards."""
    with _segment() as fd:
        before = leases.in_use(fd)
        reader = region.reopen(fd)
        mapping = map_fd(reader, region.PAGE, "readonly")
        os.close(reader)
        mapped = leases.in_use(fd)
        del mapping
        return before, mapped, leases.in_use(fd)


def proc() -> Check:
    """Check that /proc shows the descriptors of another process of ours: loads open them there."""
    with _segment() as fd, _holder_of(fd) as pid:
        try:
            opened = os.open(f"/proc/{pid}/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            return Check(
                "/proc/<pid>/fd",
                Status.WARN,
                f"cannot be opened ({error.strerror}): loads ask the daemon, and are slower",
                "mount /proc, without hidepid=1, and let clients and daemon share a pid namespace "
                "(docker run --pid=…)",
            )
        same = os.path.samestat(os.fstat(opened), os.fstat(fd))
        os.close(opened)
    remedy = "let clients and daemon share a pid namespace"
    return judge("/proc/<pid>/fd", same, "can be opened" if same else "shows another file", remedy)


@contextmanager
def _holder_of(fd: int) -> Iterator[int]:
    """Yield the pid of a process that has `fd` open, too."""
    line = [sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, pass_fds=[fd]) as process:
        yield process.pid


def pulse() -> Check:
    """Check that the kernel marks a mutex whose holder died: so clients learn of a daemon's end."""
    memory = memoryview(mmap.mmap(-1, pulses.SIZE))
    held: list[pulses.Pulse] = []
    # The kernel does the same for a thread as for a process, and a thread starts sooner.
    thread = threading.Thread(target=lambda: held.append(pulses.Pulse(memory)))
    thread.start()
    thread.join()
    fine = bool(held) and _becomes(memory[:4].cast("I"), _OWNER_DIED)
    return judge(
        "robust mutex",
        fine,
        "tells when its holder dies" if fine else "did not tell that its holder died",
        "run on Linux with a C library whose robust mutexes work (glibc)",
        Status.FAIL,
    )


def _becomes(word: memoryview, value: int) -> bool:
    """Wait for a thread's very last moment, which is after Python has joined it."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        if word[0] & value:
            return True
        time.sleep(0.001)
    return False
