"""Forked children: cheap enough to be killed by the hundred."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn


class Child:
    """A forked process that does `work()` and ends, without pytest's clean-up."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._reader, writer = os.pipe()
        sys.stdout.flush()
        with warnings.catch_warnings():
            # Python 3.12 warns of forks with threads; what we do there is the test.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reader)
            _run(work, writer)
        os.close(writer)
        self._status: int | None = None

    def signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, and wait until it is gone; twice is fine."""
        if self._status is None:
            self.signal(signal.SIGKILL)
            self._reap()

    def wait(self) -> None:
        """Wait for its end; raises AssertionError with what went wrong in it."""
        # Only its end closes the pipe: children of its own close theirs first thing.
        report = b""
        while chunk := os.read(self._reader, 65536):
            report += chunk
        self._reap()
        assert self._status == 0, report.decode() or f"status {self._status}"

    def report(self) -> str:
        """Return what went wrong in a child that was killed: nothing, if that was all."""
        self.kill()
        os.set_blocking(self._reader, False)
        try:
            return os.read(self._reader, 65536).decode()
        except BlockingIOError:
            return ""

    def _reap(self) -> None:
        if self._status is None:
            _, status = os.waitpid(self.pid, 0)
            self._status = os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """Leave nothing behind."""
        self.kill()
        if self._reader >= 0:
            os.close(self._reader)
            self._reader = -1


def _run(work: Callable[[], object], writer: int) -> NoReturn:
    status = 0
    try:
        work()
    except BaseException:
        os.write(writer, traceback.format_exc().encode()[-60000:])
        status = 1
    os._exit(status)


@contextmanager
def forked(*works: Callable[[], object]) -> Iterator[list[Child]]:
    """Fork a child for each of `works`; none of them outlives the block."""
    children: list[Child] = []
    try:
        for work in works:
            children.append(Child(work))
        yield children
    finally:
        for child in children:
            child.close()


def kill_at_random(work: Callable[[], object], delay: float) -> str:
    """Fork `work`, kill it after `delay` seconds, and return what had gone wrong before."""
    with forked(work) as (child,):
        time.sleep(delay)  # The moment is meant to be random: nothing waits for it.
        return child.report()
