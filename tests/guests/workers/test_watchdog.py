from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from onecopy import WorkerLost
from onecopy.guests.workers.remote import WorkerProcess
from onecopy.guests.workers.watchdog import Watchdog
from tests.guests.probing import WITH_PROBE, Tell, probe
from tests.guests.waiting import eventually


class Heard:
    """What a watchdog told."""

    def __init__(self) -> None:
        self.started: list[WorkerProcess] = []
        self.ended: list[WorkerProcess] = []


@contextmanager
def watching(count: int = 1, **options: Any) -> Iterator[tuple[Watchdog, Heard]]:
    heard = Heard()
    options = {"memory": 1 << 30, "grace": 60.0} | options
    watchdog = Watchdog(
        count, WITH_PROBE, started=heard.started.append, ended=heard.ended.append, **options
    )
    watchdog.start()
    try:
        eventually(lambda: len(heard.started) == count)
        yield watchdog, heard
    finally:
        watchdog.stop()


def test_it_starts_workers_and_ends_them_with_itself() -> None:
    with watching(2) as (watchdog, heard):
        assert [worker.index for worker in watchdog.workers] == [0, 1]
    assert heard.ended == watchdog.workers
    assert [worker.reason for worker in heard.ended] == ["the pool was closed"] * 2


def test_it_replaces_those_that_die_again_and_again() -> None:
    with watching() as (watchdog, heard):
        for times in range(1, 4):
            os.kill(watchdog.workers[0].pid, 9)
            eventually(lambda times=times: len(heard.started) == times + 1)
        assert watchdog.restarts == 3
        assert [worker.blamed for worker in heard.ended] == [False] * 3
        assert probe(watchdog.workers[0], "found = 1") == "1"


def test_it_ends_what_hangs_and_blames_it() -> None:
    with watching(grace=0.1) as (watchdog, heard):
        hang = "worker.progress.begin(5, 0.01); import threading; threading.Event().wait()"
        watchdog.workers[0].send(Tell(hang))
        eventually(lambda: heard.ended)
        assert heard.ended[0].blamed
        doing = heard.ended[0].progress.read()
        assert doing is not None
        assert doing.culprit == 5


def test_it_ends_what_hangs_without_the_interpreter_s_lock_of_its_worker() -> None:
    with watching(grace=0.1) as (watchdog, heard):
        hang = "import ctypes; worker.progress.begin(5, 0.01); ctypes.PyDLL(None).sleep(1000)"
        watchdog.workers[0].send(Tell(hang))
        eventually(lambda: heard.ended)
        assert heard.ended[0].blamed


def test_it_leaves_those_alone_that_keep_to_their_time() -> None:
    with watching(grace=60.0) as (watchdog, heard):
        for _ in range(50):
            probe(watchdog.workers[0], "worker.progress.begin(5, 0.01); worker.progress.end()")
        assert heard.ended == []


def test_it_ends_what_uses_too_much_memory_even_when_idle() -> None:
    with watching(memory=128 << 20) as (watchdog, heard):
        watchdog.workers[0].send(Tell("hoard = b'x' * (256 << 20)"))
        eventually(lambda: heard.ended)
        assert "worker_memory=134217728" in heard.ended[0].reason


@pytest.mark.parametrize(
    ("end", "blamed"),
    [
        ("os._exit(1)", True),
        ("ctypes.string_at(0)", True),
        ("os.abort()", True),
        ("os.kill(os.getpid(), 9)", False),
    ],
)
def test_who_crashes_is_blamed_and_who_was_killed_is_not(end: str, blamed: bool) -> None:
    with watching() as (watchdog, heard):
        fd = os.eventfd(0)
        if "kill" in end:  # it may not even kill itself
            os.kill(watchdog.workers[0].pid, 9)
        else:
            watchdog.workers[0].send(Tell(f"import ctypes, os; {end}"))
        eventually(lambda: heard.ended)
        assert heard.ended[0].blamed is blamed
        os.close(fd)


def test_requests_to_one_that_is_starting_wait_for_it() -> None:
    with watching() as (watchdog, _heard):
        first = watchdog.workers[0]
        os.kill(first.pid, 9)
        eventually(lambda: watchdog.workers[0] is not first)
        assert probe(watchdog.workers[0], "found = 1") == "1"


def test_requests_that_wait_when_it_ends_are_told() -> None:
    with watching() as (watchdog, _):
        worker = watchdog.workers[0]
        found: list[object] = []

        def ask() -> None:
            try:
                probe(worker, "import threading; threading.Event().wait()")
            except WorkerLost as error:
                found.append(error)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        worker.kill("a test")
        for thread in threads:
            thread.join()
        assert len(found) == 3


def test_those_that_never_start_are_tried_again_ever_more_rarely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = Heard()
    watchdog = Watchdog(
        1,
        ("no_such_service",),
        memory=1 << 30,
        grace=60.0,
        started=heard.started.append,
        ended=heard.ended.append,
    )
    watchdog.start()
    eventually(lambda: len(heard.ended) >= 3)
    watchdog.stop()
    assert heard.started == []
    assert watchdog.failure is not None
    assert "no_such_service" in str(watchdog.failure)
