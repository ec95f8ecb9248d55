"""How soon is a store there again whose entries are files?"""

from __future__ import annotations

import os
import time
from pathlib import Path

import onecopy
from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.questions.snapshot import runtime
from benchmarks.stage import Stage
from onecopy.segments import trailer
from onecopy.segments.trailer import Trailer
from onecopy.store.filenames import file_name
from onecopy.tensors import spec as specs

START = "start until it answers"
EMPTY = "an empty directory"


def ask(stage: Stage) -> Answer:
    """Start a store on an empty directory, on small files and on huge sparse ones, in turns."""
    count, size = stage.scale.files, stage.scale.file
    small = f"{count:,} entries of 1 KB"
    large = f"{count:,} sparse entries, {count * size / 1e9:g} GB"
    table = Table("start of a store on a directory", "ms", ours=EMPTY)
    folders = {
        title: stage.root / f"{number}" for number, title in enumerate((EMPTY, small, large))
    }
    _fill(folders[small], count, 1000)
    _fill(folders[large], count, size)
    samples: dict[str, list[float]] = {title: [] for title in folders}
    with runtime(stage.root):
        for _ in range(stage.scale.starts):
            for title, folder in folders.items():
                samples[title].append(_start(folder, 0 if title == EMPTY else count))
    for title, times in samples.items():
        table.put_row(title, START, Summary.of(times, 1e3))
    base = table.rows[EMPTY][START].median
    return Answer("reopen", [table], [
        Target(f"reopen {title}", 50.0, table.rows[title][START].median - base, "ms")
        for title in (small, large)
    ])  # fmt: skip


def _start(folder: Path, expected: int) -> float:
    begin = time.perf_counter()
    store = onecopy.start("reopen", dir=folder)
    found = store.stats().entries
    seconds = time.perf_counter() - begin
    store.close()
    if found != expected:
        raise RuntimeError(f"{folder} came back with {found} entries instead of {expected}")
    return seconds


def _fill(folder: Path, count: int, nbytes: int) -> None:
    """Make files as the store leaves them, but for their header and their bytes: holes."""
    folder.mkdir()
    spec = specs.encode([(0, nbytes)], [0, "buffer", ["B", [nbytes]], [0, 0]])
    for number in range(count):
        key = f"entry/{number}".encode()
        facts = Trailer(key, 64, 64 + nbytes, len(spec), nbytes, time.time_ns())
        size = 64 + nbytes + len(spec) + trailer.nbytes_for(key)
        fd = os.open(folder / file_name(key), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        os.pwrite(fd, spec + facts.pack(size), 64 + nbytes)
        os.close(fd)
