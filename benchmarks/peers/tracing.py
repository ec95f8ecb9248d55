"""Counting this process's own system calls, with strace attached to it for a moment."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

BEGIN, END = "/onecopy-bench-begin", "/onecopy-bench-end"
PR_SET_PTRACER, PR_SET_PTRACER_ANY = 0x59616D61, ctypes.c_ulong(-1)
PATIENCE = 20.0


def available() -> bool:
    """Whether strace is installed."""
    return shutil.which("strace") is not None


def count_calls(act: Callable[[], None]) -> int:
    """System calls that all threads of this process make while ``act`` runs."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "strace"
        strace = _attach(log)
        try:
            os.access(BEGIN, os.F_OK)  # two calls that nobody else makes
            act()
            os.access(END, os.F_OK)
        finally:
            strace.terminate()
            strace.wait()
        return _between_marks(log)


def _attach(log: Path) -> subprocess.Popen[bytes]:
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)
    command = ["strace", "-f", "-qq", "-o", str(log), "-p", str(os.getpid())]
    strace = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE
    while not _is_traced():
        if strace.poll() is not None or time.monotonic() > deadline:
            strace.kill()
            strace.wait()
            raise RuntimeError("strace may not attach to a process here")
        time.sleep(0.01)
    return strace


def _is_traced() -> bool:
    return "TracerPid:\t0\n" not in Path("/proc/self/status").read_text()


def _between_marks(log: Path) -> int:
    lines = log.read_text().splitlines()
    begin = next(number for number, line in enumerate(lines) if BEGIN in line)
    end = next(number for number, line in enumerate(lines) if END in line)
    return end - begin - 1
