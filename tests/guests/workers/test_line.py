from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from onecopy import WorkerLost
from onecopy.guests.workers import messages
from onecopy.guests.workers.line import Line
from onecopy.guests.workers.spawn import set_waits
from onecopy.guests.workers.spill import Spill, new_spill


class Far:
    """A line, and its other end."""

    def __init__(self) -> None:
        near, self.sock = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        set_waits(near)
        self.near = near
        self.killed: list[str] = []
        self.long = Spill(new_spill())
        self.line = Line(near, self.long, self.kill, lambda: WorkerLost("gone"))

    def kill(self, reason: str) -> None:
        self.killed.append(reason)
        self.sock.close()

    def answer(self, *answers: tuple[int, bytes]) -> None:
        for number, data in answers:
            self.sock.send(messages.number(number) + data)


@pytest.fixture
def far() -> Iterator[Far]:
    far = Far()
    yield far
    far.near.close()
    far.sock.close()
    os.close(far.long._fd)


def test_requests_wait_until_it_is_welcomed(far: Far) -> None:
    answers: list[bytes] = []
    asking = threading.Thread(target=lambda: answers.append(far.line.exchange(b"ask", (), 60)))
    asking.start()
    far.answer((0, b"hello"), (1, b"answer"))
    assert far.line.welcome() == b"hello"
    asking.join()
    assert answers == [b"answer"]
    assert far.sock.recv(100) == messages.number(1) + b"ask"


def test_answers_to_others_are_passed_over(far: Far) -> None:
    far.answer((0, b""), (7, b"old"), (0, b"older"), (1, b"mine"))
    far.line.welcome()
    assert far.line.exchange(b"", (), 60) == b"mine"


def test_a_long_answer_is_fetched_from_where_it_lies(far: Far) -> None:
    far.answer((0, b""), (1, far.long.put(b"x" * 900_000)))
    far.line.welcome()
    assert far.line.exchange(b"", (), 60) == b"x" * 900_000


def test_what_does_not_answer_in_time_is_killed(far: Far) -> None:
    far.answer((0, b""))
    far.line.welcome()
    with pytest.raises(WorkerLost):
        far.line.exchange(b"", (), 0.05)
    assert far.killed == ["it did not answer within 0.05 s"]


def test_its_end_is_an_error_of_everything(far: Far) -> None:
    far.answer((0, b""))
    far.line.welcome()
    far.sock.close()
    for ask in (lambda: far.line.exchange(b"", (), 60), lambda: far.line.send(b"", ())):
        with pytest.raises(WorkerLost):
            ask()
    assert far.killed == []


def test_those_that_wait_for_one_that_never_starts_are_let_go(far: Far) -> None:
    errors: list[Exception] = []

    def ask() -> None:
        try:
            far.line.exchange(b"", (), 60)
        except WorkerLost as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    far.sock.close()
    with pytest.raises(WorkerLost):
        far.line.welcome()
    far.line.retire(far.near.close)
    for thread in threads:
        thread.join()
    assert len(errors) == 3
