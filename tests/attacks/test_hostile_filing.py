"""Clients that want other files published than those that they were given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import onecopy
from onecopy.segments import region, trailer
from onecopy.segments.trailer import Trailer
from onecopy.store import messages, wire
from tests.attacks.patience import eventually
from tests.attacks.raw import RawClient, refusal
from tests.attacks.serving import Daemon, few_files
from tests.conftest import open_files

KEY = b"x"
SIZE = 120 + trailer.nbytes_for(KEY)
FACTS = Trailer(KEY, 64, 100, 20, 36, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(folder: Path) -> Iterator[onecopy.Store]:
    with onecopy.start("test", dir=folder, capacity="16MiB") as store:
        yield store


def message(**changes: Any) -> messages.Save:
    fields: dict[str, Any] = {
        "name": "x",
        "size": SIZE,
        "data_start": 64,
        "spec_offset": 100,
        "spec_nbytes": 20,
        "nbytes": 36,
        "spec": b"",
        "kind": region.FILE,
        "reserved": True,
    }
    return messages.Save(**(fields | changes))


def reserve(raw: RawClient) -> list[int]:
    """Reserve, and return the file and the directory."""
    assert raw.send(messages.Reserve("x", SIZE, overwrite=True))
    data, fds = wire.receive(raw.sock)
    assert isinstance(wire.decode_reply(data), messages.Done)
    return fds


def filled(fd: int, facts: Trailer = FACTS) -> int:
    region.write(fd, [bytes(120), facts.pack(SIZE)])
    return fd


def test_the_honest_way_works(store: onecopy.Store, folder: Path) -> None:
    with RawClient() as raw:
        file, directory = reserve(raw)
        assert isinstance(raw.ask(message(), [filled(file)]), messages.Done)
        os.close(file)
        os.close(directory)
    assert store.names() == ["x"]
    assert (folder / "x.safetensors").stat().st_size == SIZE


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "y"},
        {"data_start": 65},
        {"spec_offset": 99, "spec_nbytes": 21},
        {"spec_nbytes": 19},
        {"nbytes": 35},
        {"ttl": 3.0},
        {"pin": True},
        {"parts": True},
        {"mutable": True},
        {"kind": region.SEALED},
        {"kind": region.ARENA},
        {"size": SIZE - 1},
    ],
    ids=str,
)
def test_a_message_that_contradicts_the_file(
    store: onecopy.Store, folder: Path, changes: dict[str, Any]
) -> None:
    with RawClient() as raw:
        fds = reserve(raw)
        assert refusal(raw.ask(message(**changes), [filled(fds[0])])) == "InvalidArgument"
        for fd in fds:
            os.close(fd)
    assert store.names() == []
    assert os.listdir(folder) == [".onecopy-lock"]


def test_a_file_of_ones_own(store: onecopy.Store, folder: Path, tmp_path: Path) -> None:
    own = filled(os.open(tmp_path / "own", os.O_RDWR | os.O_CREAT))
    with RawClient() as raw:
        fds = reserve(raw)
        assert refusal(raw.ask(message(), [own])) == "InvalidArgument"
        assert refusal(raw.ask(message(), [fds[1]])) == "InvalidArgument"
        for fd in (*fds, own):
            os.close(fd)
    assert store.names() == []


def test_a_file_that_was_given_to_somebody_else(store: onecopy.Store) -> None:
    with RawClient() as one, RawClient() as other:
        fds = reserve(one)
        assert refusal(other.ask(message(), [filled(fds[0])])) == "InvalidArgument"
        for fd in fds:
            os.close(fd)


def test_a_file_twice(store: onecopy.Store) -> None:
    with RawClient() as raw:
        fds = reserve(raw)
        assert isinstance(raw.ask(message(), [filled(fds[0])]), messages.Done)
        assert refusal(raw.ask(message(overwrite=True), [fds[0]])) == "InvalidArgument"
        for fd in fds:
            os.close(fd)
    assert store.names() == ["x"]


def test_reservations_leave_nothing_behind(store: onecopy.Store, folder: Path) -> None:
    before = open_files(store.pid)
    for _ in range(20):
        with RawClient() as raw:
            for fd in reserve(raw) + reserve(raw):
                os.close(fd)
    eventually(lambda: open_files(store.pid) <= before)
    eventually(lambda: store.stats().reserved == 0)
    assert os.listdir(folder) == [".onecopy-lock"]


def test_more_files_than_a_daemon_may_open(folder: Path, runtime: Path) -> None:
    with Daemon(runtime, directory=str(folder)) as daemon, onecopy.connect("test") as store:
        for number in range(80):
            store.save(f"{number}", b"x")
        daemon.kill()
        with few_files(100), pytest.raises(onecopy.LimitReached, match="ulimit -n"):
            daemon.start()
        daemon.start()
        assert len(store.names()) == 80
