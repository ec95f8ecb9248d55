"""Memory and processor time of a process, from /proc."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def pss(pids: Iterable[int]) -> int:
    """Proportional set size of all, in bytes: a page of n processes counts 1/n for each."""
    return sum(_kilobytes(pid, "smaps_rollup", "Pss:") for pid in pids)


def rss(pids: Iterable[int]) -> int:
    """Resident set size of all, in bytes."""
    return sum(_kilobytes(pid, "status", "VmRSS:") for pid in pids)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time of all threads so far; schedstat counts nanoseconds, stat only ticks."""
    return sum(_task_nanoseconds(pid) for pid in pids) / 1e9


def waited_seconds(pid: int) -> float:
    """Return how long a process's first thread could have run so far, and had no processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def _task_nanoseconds(pid: int) -> int:
    return sum(_first_number(task) for task in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def _first_number(file: Path) -> int:
    try:
        return int(file.read_text().split()[0])
    except OSError:  # the thread has ended
        return 0


def _kilobytes(pid: int, file: str, key: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:  # the process has ended
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
