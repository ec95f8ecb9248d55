from __future__ import annotations

import os
import time

import pytest

from onecopy.guests.workers.progress import Progress, culprit, new_page


def test_one_side_sees_what_the_other_one_does() -> None:
    fd = new_page()
    worker, engine = Progress(fd), Progress(fd)
    assert engine.read() is None
    before = time.monotonic_ns()
    worker.begin(culprit("ab" * 32), 0.5)
    doing = engine.read()
    assert doing is not None
    assert before <= doing.since <= time.monotonic_ns()
    assert doing[1:] == (0xABABABABABABABAB, 500_000_000)
    worker.end()
    assert engine.read() is None
    for each in (worker, engine):
        each.close()
    os.close(fd)


def test_nobody_can_cut_the_page_short() -> None:
    fd = new_page()
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    os.close(fd)
