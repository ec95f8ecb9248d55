"""Descriptors that are no segments, and messages that lie about them."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import onecopy
from onecopy.segments import region
from onecopy.store import messages
from tests.attacks.balance import Unchanged, settled
from tests.attacks.patience import eventually, rounds
from tests.attacks.raw import RawClient, Segment, bytes_spec, refusal
from tests.attacks.serving import Daemon

SPEC = bytes_spec(4)
SIZE = Segment.START + 4 + len(SPEC)
F_ADD_SEALS, SEAL_FUTURE_WRITE = 1033, 0x10


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The runtime directory of the one daemon that all of these tests attack."""
    path = tmp_path_factory.mktemp("run")
    with Daemon(path, capacity=64 << 20):
        yield path


@pytest.fixture
def store(base: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[onecopy.Store]:
    """A store that is as good after the test as it was before."""
    monkeypatch.setenv("ONECOPY_RUNTIME_DIR", str(base))
    with onecopy.connect("test", timeout=60) as store:
        store.save("good", b"bytes", overwrite=True)
        with Unchanged(store):
            yield store
            assert store.names() == ["good"]
            assert bytes(store.load("good")) == b"bytes"


def memfd(nbytes: int = SIZE, seals: int = region.IMMUTABLE_SEALS) -> int:
    fd = region.create("hostile", nbytes)
    if seals:
        fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


def temporary_file() -> int:
    with tempfile.TemporaryFile() as file:
        file.truncate(SIZE)
        return os.dup(file.fileno())


def shared_memory_file() -> int:
    with tempfile.TemporaryFile(dir="/dev/shm") as file:
        file.truncate(SIZE)
        return os.dup(file.fileno())


def read_end() -> int:
    reader, writer = os.pipe()
    os.close(writer)
    return reader


def end_of_a_pair() -> int:
    one, other = socket.socketpair()
    other.close()
    return one.detach()


WRONG: dict[str, Callable[[], int]] = {
    "unsealed": lambda: memfd(seals=0),
    "sealed in size only": lambda: memfd(seals=region.SIZE_SEALS),
    "can still grow": lambda: memfd(seals=region.IMMUTABLE_SEALS & ~0x4),
    "can still shrink": lambda: memfd(seals=region.IMMUTABLE_SEALS & ~0x2),
    "sealed against future writes only": lambda: memfd(seals=region.SIZE_SEALS | SEAL_FUTURE_WRITE),
    "a byte short": lambda: memfd(SIZE - 1),
    "a byte long": lambda: memfd(SIZE + 1),
    "empty": lambda: memfd(0),
    "a pipe": read_end,
    "a socket": end_of_a_pair,
    "a directory": lambda: os.open("/", os.O_RDONLY),
    "a path": lambda: os.open("/", os.O_PATH),
    "zeros": lambda: os.open("/dev/zero", os.O_RDWR),
    "nothing": lambda: os.open("/dev/null", os.O_RDWR),
    "a file": temporary_file,
    "a file of shared memory": shared_memory_file,
    "a process": lambda: os.pidfd_open(os.getpid()),
    "an event counter": lambda: os.eventfd(0) if hasattr(os, "eventfd") else read_end(),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("mutable", [False, True])
def test_what_is_no_sealed_segment_is_refused(
    store: onecopy.Store, kind: str, mutable: bool
) -> None:
    fd = WRONG[kind]()
    try:
        save = messages.Save(
            "bad", SIZE, Segment.START, SIZE - len(SPEC), len(SPEC), 4, SPEC, mutable=mutable
        )
        with RawClient() as raw:
            reply = raw.ask(save, [fd])
            if mutable and kind == "sealed in size only":
                assert isinstance(reply, messages.Done)
                store.remove("bad")
            else:
                assert refusal(reply) == "InvalidArgument"
    finally:
        os.close(fd)


@pytest.mark.parametrize("number", [0, 2, 200, 253])
def test_a_save_comes_with_one_descriptor(store: onecopy.Store, number: int) -> None:
    with Segment(b"data", SPEC) as segment, RawClient() as raw:
        assert refusal(raw.ask(segment.message("x"), [segment.fd] * number)) == "InvalidArgument"


def test_descriptors_that_nobody_asked_for_are_closed(store: onecopy.Store) -> None:
    with Segment(b"data", SPEC) as segment, RawClient() as raw:
        for request in (messages.GetStats(), messages.Stat(["good"]), messages.Cancel()):
            raw.ask(request, [segment.fd] * 253)
        raw.send(b"nonsense", [segment.fd] * 253)
        raw.receive()


def test_a_segment_without_permissions_is_refused_or_works(store: onecopy.Store) -> None:
    with Segment(b"data", SPEC) as segment, RawClient() as raw:
        os.fchmod(segment.fd, 0)
        reply = raw.ask(segment.message("x"), [segment.fd])
        if isinstance(reply, messages.Done):
            assert bytes(store.load("x")) == b"data"
            store.remove("x")


NUMBERS = st.sampled_from(
    [
        0,
        1,
        4,
        SIZE - 1,
        SIZE,
        SIZE + 1,
        Segment.START,
        -1,
        2**31,
        2**32,
        2**63 - 1,
        2**63,
        2**64 - 1,
        -(2**63),
    ]
) | st.integers(-10, SIZE + 10)


@settings(
    max_examples=rounds(250),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(
                ["size", "data_start", "spec_offset", "spec_nbytes", "nbytes"], NUMBERS
            ),
            "spec": st.binary(max_size=600) | st.just(SPEC),
            "ttl": st.sampled_from([0.0, -1.0, 1e-300, 1e300, float("nan"), float("inf"), 60.0]),
            "reserved": st.booleans(),
            "mutable": st.booleans(),
            "pin": st.booleans(),
        },
    )
)
@example({"spec_offset": SIZE, "spec_nbytes": 0})
@example({"nbytes": 2**63 - 1})
@example({"data_start": SIZE, "spec_offset": SIZE, "spec_nbytes": 0, "spec": SPEC})
def test_a_save_that_lies_is_refused_or_corrupt(
    store: onecopy.Store, fields: dict[str, object]
) -> None:
    with Segment(b"data", SPEC) as segment, RawClient() as raw:
        reply = raw.ask(segment.message("lie", **fields), [segment.fd])
        if not isinstance(reply, messages.Done):
            refusal(reply)
            return
        for mode in ("private", "readonly"):
            try:
                assert len(bytes(store.load("lie", mode=mode))) <= SIZE
            except onecopy.CorruptEntry:
                pass
            except onecopy.EntryNotFound:
                assert fields.get("ttl")
        if "lie" in store:
            try:
                store.remove("lie")
            except onecopy.EntryNotFound:
                assert fields.get("ttl")


@pytest.mark.parametrize("nbytes", [-1, -(2**63), 2**62, 2**63, 2**64 - 1, 65 << 20])
def test_a_reservation_that_cannot_be_is_refused(store: onecopy.Store, nbytes: int) -> None:
    with RawClient() as raw:
        error = refusal(raw.ask(messages.Reserve("x", nbytes, False)))
        assert error == ("InvalidArgument" if nbytes < 0 else "StoreFull")


def test_reservations_are_one_for_each_connection_and_end_with_it(store: onecopy.Store) -> None:
    with ExitStack() as stack:
        raws = [stack.enter_context(RawClient()) for _ in range(3)]
        for raw in raws:
            for nbytes in (20 << 20, 10 << 20):
                assert isinstance(raw.ask(messages.Reserve("x", nbytes, True)), messages.Done)
        assert store.stats().reserved == 30 << 20
        assert refusal(raws[0].ask(messages.Reserve("y", 50 << 20, True))) == "StoreFull"
        assert store.stats().reserved == 20 << 20
        assert isinstance(raws[1].ask(messages.Cancel()), messages.Cancelled)
        assert store.stats().reserved == 10 << 20
    eventually(lambda: settled(store))


def test_a_refused_save_ends_its_reservation(store: onecopy.Store) -> None:
    with Segment(b"data", SPEC) as segment, RawClient() as raw:
        raw.ask(messages.Reserve("good", 10 << 20, True))
        save = segment.message("good", overwrite=False, reserved=True)
        assert refusal(raw.ask(save, [segment.fd])) == "EntryExists"
        assert store.stats().reserved == 0


def test_a_save_that_is_refused_leaves_no_reservation_with_the_client(
    store: onecopy.Store,
) -> None:
    """Somebody else saves the name while a large segment is filled."""
    others = iter([lambda: store.save("race", b"first")])
    with pytest.raises(onecopy.EntryExists):
        store.save("race", bytes(2 << 20), progress=lambda _: next(others, lambda: None)())
    assert bytes(store.load("race")) == b"first"
    eventually(lambda: settled(store))
    store.remove("race")


@pytest.mark.parametrize(
    "slots",
    [
        [(1, 0, messages.READ)],
        [(-1, 2, messages.READ)],
        [(2**63, 2, messages.READ)],
        [(0, 2**64 - 1, messages.WRITE)],
        [(10**6, 0, messages.READ)],
        [(1023, 0, messages.WRITE)] * 253,
        [(0, 0, messages.READ)] * 5000,
    ],
)
def test_fetching_what_is_not_there_finds_nothing(
    store: onecopy.Store, slots: list[tuple[int, int, int]]
) -> None:
    with RawClient() as raw:
        reply = raw.ask(messages.Fetch(slots))
        assert isinstance(reply, (messages.Fetched, messages.Refused))
        if isinstance(reply, messages.Fetched):
            assert not any(reply.found)


def test_an_immutable_entry_is_not_opened_for_writing(store: onecopy.Store) -> None:
    found = store._connection.session.index.find(b"good")
    with RawClient() as raw:
        reply = raw.ask(messages.Fetch([(found.slot, found.generation, messages.WRITE)]))
        assert reply == messages.Fetched([False])
