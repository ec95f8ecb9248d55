from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from onecopy import WorkerLost
from onecopy.errors import InvalidArgument, ProtocolError
from onecopy.guests.workers import line
from onecopy.guests.workers.messages import Message, Ping
from onecopy.guests.workers.pool import Pool
from onecopy.guests.workers.remote import WorkerProcess
from tests.conftest import open_files
from tests.guests.probing import WITH_PROBE, Run, Tell, probe


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    worker = WorkerProcess(3, WITH_PROBE)
    worker.await_ready()
    yield worker
    worker.kill("the test is over")
    worker.finish(lambda _worker: None)


def test_requests_of_many_threads_get_their_own_answers(worker: WorkerProcess) -> None:
    wrong: list[int] = []

    def ask(number: int) -> None:
        wrong.extend(
            n for n in range(100) if probe(worker, f"found = {number * n}") != f"{number * n}"
        )

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_request_that_was_interrupted_does_not_confuse_the_next_one(
    worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(worker._line, "_await", interrupted)
        with pytest.raises(KeyboardInterrupt):
            probe(worker, "found = 1")
    assert probe(worker, "found = 2") == "2"


def interrupted(number: int, seconds: float) -> bytes:
    raise KeyboardInterrupt


def test_a_worker_that_does_not_answer_in_time_is_ended(worker: WorkerProcess) -> None:
    # The thread that started a worker is the one that buries it: here it is this one.
    with pytest.raises(WorkerLost, match=r"did not answer within 0\.1 s"):
        worker.request(Run("import threading; threading.Event().wait()"), timeout=0.1)


def test_what_it_said_at_its_end_is_the_reason() -> None:
    worker = WorkerProcess(0, ("no_such_service",))
    with pytest.raises(WorkerLost):
        worker.await_ready()
    told: list[object] = []
    worker.on_lost(told.append)
    worker.finish(told.append)
    assert told == [worker, worker]
    assert "no_such_service" in worker.reason
    with pytest.raises(WorkerLost, match="no_such_service"):
        worker.request(Ping())


def test_a_callback_that_fails_is_logged_and_the_others_are_called(
    worker: WorkerProcess, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[object] = []
    worker.on_lost(lambda _worker: 1 / 0)
    worker.on_lost(told.append)
    worker.kill("a test")
    worker.finish(lambda _worker: None)
    assert told == [worker]
    assert "ZeroDivisionError" in caplog.text


def test_messages_with_answers_are_requests(worker: WorkerProcess) -> None:
    with pytest.raises(InvalidArgument, match="use request"):
        worker.send(Ping())


def test_a_worker_that_reads_nothing_is_ended(
    worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "PATIENCE", 0.1)
    worker.send(Tell("import threading; threading.Event().wait()"))
    with pytest.raises(WorkerLost, match="took no messages"):
        for _ in range(10_000):
            worker.send(Large("x" * 100_000))


class Large(Message, frozen=True, gc=False):
    """Fills the socket."""

    text: str


def test_descriptors_that_a_worker_sends_are_dropped(worker: WorkerProcess) -> None:
    before = open_files()
    code = "import socket; socket.send_fds(worker._sock, [b'????'], [0, 0, 0]); found = 1"
    assert probe(worker, code) == "1"
    assert open_files() == before


def test_its_memory_does_not_count_what_it_shares(worker: WorkerProcess) -> None:
    assert 1 << 20 < worker.memory() < 1 << 30
    fd = os.memfd_create("test")
    os.ftruncate(fd, 64 << 20)
    before = worker.memory()
    probe(worker, "import mmap; m = mmap.mmap(fds[0], 0); m[:] = b'x' * len(m)", fd)
    assert worker.memory() - before < 32 << 20
    os.close(fd)


def test_old_answers_without_end_do_not_keep_anybody_waiting(worker: WorkerProcess) -> None:
    flood = "while True: worker._sock.send(b'\\0\\0\\0\\0')"
    with pytest.raises(WorkerLost, match="did not answer"):
        worker.request(Run(flood), timeout=0.1)


@pytest.mark.parametrize(
    "answer", [b"", b"\xc0\xff\xff\xff\xff", b"\xc1", b"\xc1\1", b"\x93", b"\xff" * 100]
)
def test_a_worker_that_sends_nonsense_is_ended(worker: WorkerProcess, answer: bytes) -> None:
    patch = f"""
        fitting = worker._fitting
        def lie(answer):
            worker._fitting = fitting
            return {answer!r}
        worker._fitting = lie
    """
    with pytest.raises(WorkerLost, match="no answer") as caught:
        probe(worker, patch)
    assert isinstance(caught.value.__cause__, ProtocolError)
    assert worker.reason


def test_one_that_closes_its_end_and_lives_on_is_ended() -> None:
    with Pool(services=WITH_PROBE) as pool:
        worker = pool.workers[0]
        hang = "import threading; worker._sock.shutdown(2); threading.Event().wait()"
        with pytest.raises(WorkerLost, match="closed its end"):
            probe(worker, hang)
        assert not worker.alive
