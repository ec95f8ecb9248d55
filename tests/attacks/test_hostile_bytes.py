"""Random and hostile bytes on the socket: the daemon answers or hangs up, and serves the others."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import onecopy
from onecopy.store import messages, wire
from onecopy.store.daemon.loop import Loop
from tests.attacks.balance import Unchanged, assert_balanced, resident_memory
from tests.attacks.children import forked
from tests.attacks.patience import eventually, rounds
from tests.attacks.raw import RawClient, Segment, bytes_spec, refusal
from tests.attacks.serving import Daemon, soft_limit

fuzzed = settings(
    max_examples=rounds(100),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

SO_SNDBUFFORCE = 32

REQUESTS: list[messages.Message] = [
    messages.Reserve("name", 1000, False),
    messages.Save("name", 100, 10, 20, 10, 10, b""),
    messages.Fetch([(0, 2, messages.READ)]),
    messages.Wait(["name"]),
    messages.Cancel(),
    messages.Remove(["name"]),
    messages.Stat(["name"]),
    messages.GetStats(),
    messages.Subscribe(""),
    messages.Acquire("name", False, 1),
    messages.Release(1),
]


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
            assert bytes(store.load("good")) == b"bytes"
            with onecopy.connect("test", timeout=60, direct=False) as other:
                assert bytes(other.load("good")) == b"bytes"
            assert store.names() == ["good"]


def leave(raw: RawClient) -> None:
    """Read all replies; withdraw what waits by chance, and give back what was granted."""
    raw.send(messages.Cancel())
    grants = []
    while not isinstance(reply := raw.receive(), (messages.Cancelled, type(None))):
        if isinstance(reply, messages.Granted):
            grants.append(reply.lock)
    for grant in grants:
        raw.ask(messages.Release(grant))


def plain_values() -> st.SearchStrategy[Any]:
    atoms = (
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats()
        | st.text()
        | st.binary()
    )
    return st.recursive(
        atoms,
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )


def almost_messages() -> st.SearchStrategy[list[Any]]:
    """Arrays that begin with a known tag, and go on with whatever."""
    tags = st.sampled_from([type(request).__name__ for request in REQUESTS] + ["Hello", "Event"])
    return st.tuples(tags, st.lists(plain_values(), max_size=8)).map(lambda x: [x[0], *x[1]])


class TestNonsense:
    @fuzzed
    @given(
        datagrams=st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=5),
        hello=st.booleans(),
    )
    def test_random_datagrams_are_refused(
        self, store: onecopy.Store, datagrams: list[bytes], hello: bool
    ) -> None:
        with RawClient(hello=hello) as raw:
            for data in datagrams:
                reply = raw.ask(data)
                if reply is None:
                    return
                assert refusal(reply) == "ProtocolError"

    @fuzzed
    @given(value=plain_values() | almost_messages(), hello=st.booleans())
    def test_values_that_are_no_messages_get_an_answer_or_the_end(
        self, store: onecopy.Store, value: Any, hello: bool
    ) -> None:
        with RawClient(hello=hello) as raw:
            raw.send(msgspec.msgpack.encode(value))
            leave(raw)
        for name in store.names():
            if name != "good":
                store.remove(name)

    @fuzzed
    @given(request=st.sampled_from(REQUESTS), cut=st.integers(1, 30), flip=st.integers(0, 10**6))
    def test_truncated_and_flipped_messages_get_an_answer_or_the_end(
        self, store: onecopy.Store, request: messages.Message, cut: int, flip: int
    ) -> None:
        data = bytearray(wire.encode(request))
        data[flip % len(data)] ^= 1 + flip % 255
        for hostile in (bytes(data), wire.encode(request)[:-cut]):
            if hostile:
                with RawClient() as raw:
                    raw.send(hostile)
                    leave(raw)

    @pytest.mark.parametrize("tail", [b"", b"\xc0", b"\0" * 1000])
    def test_bytes_after_a_message_are_refused(self, store: onecopy.Store, tail: bytes) -> None:
        with RawClient() as raw:
            reply = raw.ask(wire.encode(messages.GetStats()) + tail)
            assert isinstance(reply, messages.Refused if tail else messages.StatsReply)

    @pytest.mark.parametrize("depth", [100, 10_000, 150_000])
    def test_deep_nesting_is_refused(self, store: onecopy.Store, depth: int) -> None:
        for hostile in (b"\x91" * depth + b"\xc0", b"\x92\xa4Wait" + b"\x91" * depth + b"\xc0"):
            with RawClient() as raw:
                assert refusal(raw.ask(hostile)) == "ProtocolError"

    @pytest.mark.parametrize(
        "head",
        [
            b"\xdd\xff\xff\xff\xff",
            b"\xdf\xff\xff\xff\xff",
            b"\xdb\xff\xff\xff\xff",
            b"\xc6\xff\xff\xff\xff",
        ],
    )
    def test_lengths_that_lie_cost_no_memory(self, store: onecopy.Store, head: bytes) -> None:
        before = resident_memory(store.pid)
        for hostile in (head, b"\x92\xa4Wait" + head, b"\x92\xa4Wait\x91" + head):
            with RawClient() as raw:
                assert refusal(raw.ask(hostile)) == "ProtocolError"
        assert resident_memory(store.pid) < before + (16 << 20)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may send so much at once")
    def test_an_oversized_message_is_refused_and_the_next_one_is_served(
        self, store: onecopy.Store
    ) -> None:
        with RawClient() as raw:
            raw.sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20)
            for size in (wire.MESSAGE_LIMIT + 1, 1 << 20):
                assert refusal(raw.ask(b"x" * size)) == "ProtocolError"
            assert isinstance(raw.ask(messages.GetStats()), messages.StatsReply)

    def test_an_empty_datagram_is_a_goodbye(self, store: onecopy.Store) -> None:
        with RawClient() as raw:
            assert raw.ask(b"") is None


class TestOutOfOrder:
    @pytest.mark.parametrize("request_", REQUESTS, ids=lambda each: type(each).__name__)
    def test_nothing_is_done_before_hello(
        self, store: onecopy.Store, request_: messages.Message
    ) -> None:
        with RawClient(hello=False) as raw:
            assert refusal(raw.ask(request_)) == "ProtocolError"
            assert raw.receive() is None

    @pytest.mark.parametrize("request_", REQUESTS, ids=lambda each: type(each).__name__)
    @pytest.mark.parametrize("wait", [messages.Wait(["never"]), messages.Acquire("held", False, 2)])
    def test_who_waits_may_only_cancel(
        self, store: onecopy.Store, wait: messages.Message, request_: messages.Message
    ) -> None:
        with store.lock("held"), RawClient() as raw:
            raw.send(wait)
            reply = raw.ask(request_)
            if isinstance(request_, messages.Cancel):
                assert isinstance(reply, messages.Cancelled)
            else:
                assert refusal(reply) == "ProtocolError"
                assert raw.receive() is None

    def test_another_version_is_refused(self, store: onecopy.Store) -> None:
        for version in (0, 2, -1, 2**63):
            with RawClient(hello=False) as raw:
                assert refusal(raw.ask(messages.Hello(version, b"x" * 16))) == "ProtocolError"
                assert raw.receive() is None

    def test_one_connection_is_one_process(self, store: onecopy.Store) -> None:
        """Else it could make the daemon watch any number of processes, a descriptor each."""
        with RawClient() as raw:
            assert refusal(raw.ask(messages.Hello(messages.VERSION, b"1"))) == "ProtocolError"
            assert raw.receive() is None

    def test_replies_are_no_requests(self, store: onecopy.Store) -> None:
        for reply in (messages.Done(), messages.Granted(1), messages.Event("saved", "x")):
            with RawClient() as raw:
                assert refusal(raw.ask(reply)) == "ProtocolError"


class TestReplays:
    def test_a_replayed_release_is_refused(self, store: onecopy.Store) -> None:
        with RawClient() as raw:
            grant = raw.ask(messages.Acquire("lock", False, 1)).lock
            assert isinstance(raw.ask(messages.Release(grant)), messages.Done)
            for _ in range(3):
                assert refusal(raw.ask(messages.Release(grant))) == "InvalidArgument"

    def test_nobody_releases_what_another_process_holds(self, store: onecopy.Store) -> None:
        with store.lock("lock") as lock, RawClient() as raw:
            for number in range(50):
                assert refusal(raw.ask(messages.Release(number))) == "InvalidArgument"
            assert lock.held

    def test_a_segment_is_saved_once(self, store: onecopy.Store) -> None:
        """Held twice by the daemon, it would look in use for ever."""
        with Segment(b"data", bytes_spec(4)) as segment, RawClient() as raw:
            assert isinstance(raw.ask(segment.message("one"), [segment.fd]), messages.Done)
            for name in ("one", "two"):
                reply = raw.ask(segment.message(name), [segment.fd])
                assert refusal(reply) == "InvalidArgument"
            assert bytes(store.load("one")) == b"data"
            store.remove("one")
        assert_balanced(store)

    def test_an_entry_that_was_loaded_cannot_be_saved_as_another(
        self, store: onecopy.Store
    ) -> None:
        with RawClient() as raw:
            found = store._connection.session.index.find(b"good")
            raw.send(messages.Fetch([(0, found.generation, messages.READ)]))
            data, fds = wire.receive(raw.sock)
            assert wire.decode_reply(data) == messages.Fetched([True])
            size = os.fstat(fds[0]).st_size
            save = messages.Save("two", size, 10, 20, 10, 10, b"")
            assert refusal(raw.ask(save, fds)) == "InvalidArgument"
            wire.close_all(fds)


class TestSlowClients:
    def test_one_that_never_reads_its_replies_costs_little(self, store: onecopy.Store) -> None:
        before = resident_memory(store.pid)
        request = wire.encode(messages.Stat(["good"] * wire.BATCH))
        with RawClient() as raw:
            raw.sock.setblocking(False)
            sent = 0
            with pytest.raises(BlockingIOError):
                while True:
                    raw.send(request)
                    sent += 1
            assert store.stats().clients >= 2
            assert resident_memory(store.pid) < before + (8 << 20)
            raw.sock.settimeout(60)
            for _ in range(sent):
                assert len(raw.receive().entries) == wire.BATCH

    def test_a_watcher_that_never_reads_is_told_what_it_lost(self, store: onecopy.Store) -> None:
        before = resident_memory(store.pid)
        with RawClient() as watcher:
            assert isinstance(watcher.ask(messages.Subscribe("")), messages.Done)
            name = "x" * 250
            for _ in range(3000):
                store.save(name, b"1")
                store.remove(name)
            assert resident_memory(store.pid) < before + (8 << 20)
            kinds = [watcher.receive().kind]
            while kinds[-1] != "lost":
                kinds.append(watcher.receive().kind)
            assert set(kinds[:-1]) == {"saved", "removed"}
            assert len(kinds) < 6000
            store.save("seen", b"1")
            assert watcher.receive() == messages.Event("saved", "seen")
            store.remove("seen")

    def test_descriptors_for_one_that_never_reads_are_not_kept(self, store: onecopy.Store) -> None:
        generation = store._connection.session.index.find(b"good").generation
        request = wire.encode(messages.Fetch([(0, generation, messages.READ)] * wire.FDS_LIMIT))
        with RawClient() as raw:
            raw.sock.setblocking(False)
            try:
                for _ in range(2000):
                    raw.send(request)
            except BlockingIOError:
                pass
            assert bytes(store.load("good")) == b"bytes"
        eventually(lambda: not store.stat("good").in_use)

    def test_thousands_of_idle_connections_are_served(self, store: onecopy.Store) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        number = min(2000, hard // 4)
        before = resident_memory(store.pid)
        clients: list[RawClient] = []
        with soft_limit(resource.RLIMIT_NOFILE, hard):
            try:
                for index in range(number):
                    clients.append(RawClient(hello=index % 2 == 0))
                store.save("among many", b"1")
                assert bytes(store.load("among many")) == b"1"
                store.remove("among many")
                assert store.stats().clients > number // 2
                assert resident_memory(store.pid) < before + (32 << 20)
            finally:
                for client in clients:
                    client.close()
        eventually(lambda: store.stats().clients < 5)

    def test_saving_and_removing_for_long_does_not_fill_its_memory(
        self, store: onecopy.Store
    ) -> None:
        for _ in range(1100):
            store.save("again", b"1", overwrite=True)
        before = resident_memory(store.pid)
        for _ in range(rounds(3000)):
            store.save("again", b"1", overwrite=True)
        assert resident_memory(store.pid) < before + (1 << 20)
        store.remove("again")

    def test_a_ttl_that_is_long_over_does_not_fill_its_memory_either(
        self, store: onecopy.Store
    ) -> None:
        for _ in range(1100):
            store.save("again", b"1", overwrite=True, ttl=1e6)
        before = resident_memory(store.pid)
        for _ in range(rounds(3000)):
            store.save("again", b"1", overwrite=True, ttl=1e6)
        assert resident_memory(store.pid) < before + (1 << 20)
        store.remove("again")


class TestNames:
    NAMES = [b"", b"a\0b", b"x" * 256, b"\xff\xfe", b"\xed\xa0\x80", b"x" * 100_000, b"\xc3" * 255]

    @staticmethod
    def packed(name: bytes) -> bytes:
        return b"\xdb" + len(name).to_bytes(4, "big") + name

    @pytest.mark.parametrize("name", NAMES, ids=lambda each: repr(each[:5]))
    def test_what_is_no_name_names_nothing(self, store: onecopy.Store, name: bytes) -> None:
        packed, array = self.packed(name), b"\xdd\0\0\0\1"
        bodies = {
            "reserve": b"\x94\xa7Reserve" + packed + b"\x64\xc2",
            "stat": b"\x92\xa4Stat" + array + packed,
            "remove": b"\x92\xa6Remove" + array + packed,
            "lock": b"\x94\xa7Acquire" + packed + b"\xc2\x01",
            "subscribe": b"\x92\xa9Subscribe" + packed,
            "wait": b"\x92\xa4Wait" + array + packed,
        }
        for kind, body in bodies.items():
            with RawClient() as raw:
                raw.send(body)
                if kind in ("reserve", "remove"):
                    reply = raw.receive()
                    assert reply is None or isinstance(reply, messages.Refused), kind
                leave(raw)
        with Segment(b"data", bytes_spec(4)) as segment, RawClient() as raw:
            good = wire.encode(segment.message("*", overwrite=False))
            assert raw.send(good.replace(b"\xa1*", packed, 1), [segment.fd])
            reply = raw.receive()
            assert reply is None or isinstance(reply, messages.Refused)

    def test_too_many_at_once_are_refused_by_the_client(self, store: onecopy.Store) -> None:
        with pytest.raises(onecopy.InvalidArgument):
            store.remove([f"{number:0200}" for number in range(2000)])
        assert store.stat([f"{number:0200}" for number in range(2000)]) == [None] * 2000


class TestTouches:
    """Clients may write what they like into the touch segment; nothing may depend on it."""

    def lie(self, store: onecopy.Store, number: int) -> None:
        touches = store._connection.session.touches
        for index in range(len(touches)):
            touches[index] = number

    @pytest.mark.parametrize("number", [0, 2**63, 2**64 - 1])
    def test_lies_end_no_load(self, store: onecopy.Store, number: int) -> None:
        self.lie(store, number)
        for mode in ("private", "readonly", "readonly"):
            assert bytes(store.load("good", mode=mode)) == b"bytes"
        assert store.stat("good").name == "good"

    def test_uses_in_the_future_do_not_stop_evictions(self, store: onecopy.Store) -> None:
        for number in range(6):
            store.save(str(number), bytes(10 << 20))
        self.lie(store, 2**64 - 1)
        before = store.stats().evicted
        store.save("more", bytes(30 << 20))
        assert store.stats().evicted >= before + 3
        store.remove(store.names())
        store.save("good", b"bytes")


class TestLongTimes:
    """epoll and poll count milliseconds in an int: 25 days are too many for them."""

    @pytest.mark.parametrize("seconds", [30 * 86400.0, 1e300])
    def test_the_loop_sleeps_through_any_time(self, seconds: float) -> None:
        loop = Loop()
        reader, writer = os.pipe()
        loop.add(reader, lambda _: loop.stop())
        loop.after(seconds, loop.stop)
        os.write(writer, b"x")
        loop.run()
        os.close(reader)
        os.close(writer)

    @pytest.mark.parametrize("seconds", [30 * 86400.0, 1e300])
    def test_an_entry_may_live_so_long(self, store: onecopy.Store, seconds: float) -> None:
        store.save("long", b"1", ttl=seconds)
        assert store.stat("long").ttl == seconds
        store.remove("long")

    @pytest.mark.parametrize("timeout", [30 * 86400.0, 1e300, float("inf")])
    def test_a_client_may_wait_so_long(self, store: onecopy.Store, timeout: float) -> None:
        clients = store.stats().clients

        def wait() -> None:
            assert bytes(store.load("later", timeout=timeout)) == b"1"

        with forked(wait) as (child,):
            eventually(lambda: store.stats().clients > clients)
            store.save("later", b"1")
            child.wait()
        store.remove("later")
