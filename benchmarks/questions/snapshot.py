"""How close is a snapshot to `cp`?"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onecopy
from benchmarks.answer import Answer, Summary, Table, Target, over
from benchmarks.stage import Stage

OURS, LAZY = "snapshot", "snapshot(sync=False)"
SYNCED, COPIED = "cp, then sync", "cp"
MEMORY, DISK = "from memory", "from files"
LAYERS = 10


def ask(stage: Stage) -> Answer:
    """Write entries out, in turns with `cp` of files with the same bytes on the same medium.

    Each beside what promises as much: to be on the disk, or to be there some time.
    """
    size = stage.scale.snapshot
    table = Table(f"snapshot of {size / 1e9:g} GB", "GB/s", ours=OURS)
    with runtime(stage.root):
        _measure(table, MEMORY, stage, Path("/dev/shm"), None)
        _measure(table, DISK, stage, stage.root, stage.root / "store")
    return Answer("snapshot", [table], [
        Target(f"{ours} {column}: over {other}", 0.9, _ratio(table, column, ours, other), "x",
               at_least=True)
        for column in (MEMORY, DISK) for ours, other in ((OURS, SYNCED), (LAZY, COPIED))
    ])  # fmt: skip


def _measure(table: Table, column: str, stage: Stage, medium: Path, folder: Path | None) -> None:
    """Fill a column: from a store in memory or in a folder, and from files on that medium."""
    size, target = stage.scale.snapshot, stage.root / "target"
    source = medium / f"onecopy-bench-{os.getpid()}"
    with onecopy.start("snapshot", capacity=2 * size, dir=folder) as store:
        for number in range(LAYERS):
            store.save(f"{number}", _layer(size // LAYERS))
        store.snapshot(source)
        samples: dict[str, list[float]] = {OURS: [], SYNCED: [], LAZY: [], COPIED: []}
        try:
            for _ in range(stage.scale.rounds):
                for title, work in _works(store, source, target).items():
                    _settle(stage.root)
                    samples[title].append(size / _timed(work))
                    shutil.rmtree(target)
        finally:
            shutil.rmtree(source)
    for title, speeds in samples.items():
        table.put_row(title, column, Summary.of(speeds, 1e-9))


def _works(store: Any, source: Path, target: Path) -> dict[str, Callable[[], object]]:
    def copy() -> None:
        subprocess.run(["cp", "-r", source, target], check=True)

    def copy_and_sync() -> None:
        copy()
        subprocess.run(["sync", "-f", target], check=True)

    return {
        OURS: lambda: store.snapshot(target),
        SYNCED: copy_and_sync,
        LAZY: lambda: store.snapshot(target, sync=False),
        COPIED: copy,
    }


def _layer(size: int) -> bytes:
    """Bytes that no disk compresses."""
    return secrets.token_bytes(min(size, 1 << 20)) * (size // min(size, 1 << 20))


def _settle(folder: Path) -> None:
    """What an earlier turn left to be written is written now."""
    subprocess.run(["sync", "-f", folder], check=True)


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _ratio(table: Table, column: str, ours: str, other: str) -> float | None:
    medians = [table.rows[row][column].median for row in (ours, other)]
    return over(*medians)


@contextmanager
def runtime(root: Path) -> Any:
    """Let stores of this process live below `root`."""
    before = os.environ.get("ONECOPY_RUNTIME_DIR")
    os.environ["ONECOPY_RUNTIME_DIR"] = str(root / "run")
    try:
        yield
    finally:
        del os.environ["ONECOPY_RUNTIME_DIR"]
        if before is not None:
            os.environ["ONECOPY_RUNTIME_DIR"] = before
