"""What the process of a model stands from its clients, and how it serves many at once."""

from __future__ import annotations

import os
import resource
import socket
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onecopy.errors import (
    InvalidArgument,
    LimitReached,
    OnecopyError,
    ProtocolError,
)
from onecopy.nn.service import messages
from onecopy.nn.service.messages import (
    Ask,
    Collect,
    Compute,
    Computed,
    Facts,
    Finish,
    Hello,
    Refused,
    Short,
    Single,
    Tensor,
    Welcome,
    encode,
)
from onecopy.nn.service.server import USERS
from onecopy.nn.service.spot import Spot, spots
from onecopy.segments import region
from onecopy.store import wire

HELLO = Hello(messages.VERSION, "", 0.0)


@pytest.fixture(scope="module")
def spot(shared) -> Spot:
    """The process of a model that doubles."""
    shared("affine")
    (found,) = shared.spots()
    return found


class Client:
    """Says to a process whatever a test wants."""

    def __init__(self, spot: Spot, hello=HELLO) -> None:
        sock = spot.connect()
        assert sock is not None
        self.sock = sock
        if hello is not None:
            self.welcome = self.ask(hello)

    def ask(self, message, fds=()):
        return self.ask_bytes(message if isinstance(message, bytes) else encode(message), fds)

    def ask_bytes(self, data: bytes, fds=()):
        wire.send(self.sock, data, tuple(fds))
        return self.answer()

    def answer(self):
        data, fds = wire.receive(self.sock)
        wire.close_all(fds)
        return messages.decode_reply(data) if data else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


def _segment(nbytes: int, *, sealed: bool = True) -> int:
    fd = region.create("test", nbytes)
    if sealed:
        region.seal(fd, mutable=True)
    return fd


def _compute(nbytes: int = 4096, **changed) -> Compute:
    tensor = {"dtype": "u8", "shape": (4,), "offset": 0, "nbytes": 4, **changed}
    return Compute([Tensor(**tensor)], 64, nbytes)


def _works(spot: Spot) -> None:
    with Client(spot) as client:
        fd = _segment(4096)
        os.pwrite(fd, b"\x01\x02\x03\x04", 0)
        reply = client.ask(_compute(), [fd])
        assert isinstance(reply, Computed)
        assert os.pread(fd, 4, reply.outputs[0].offset) == b"\x02\x04\x06\x08"
        os.close(fd)


def test_it_computes(spot) -> None:
    _works(spot)


def test_it_says_what_it_is(spot) -> None:
    with Client(spot, None) as client:
        facts = client.ask(Ask())
        assert isinstance(facts, Facts)
        assert facts.name == "affine"


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    greeted=st.booleans(),
    noise=st.lists(
        st.one_of(
            st.binary(min_size=1, max_size=200),
            st.builds(
                lambda inputs, room, nbytes: encode(Compute(inputs, room, nbytes)),
                st.lists(
                    st.one_of(
                        st.none(),
                        st.builds(
                            Tensor,
                            st.sampled_from(["u8", "f32", "i64", "x"]),
                            st.lists(st.integers(-2, 2**62), max_size=3).map(tuple),
                            st.integers(-(2**62), 2**62),
                            st.integers(-(2**62), 2**62),
                        ),
                    ),
                    max_size=3,
                ),
                st.integers(-(2**62), 2**62),
                st.integers(-(2**62), 2**62),
            ),
        ),
        max_size=4,
    ),
    size=st.integers(0, 10_000),
    sealed=st.booleans(),
)
def test_it_survives_any_bytes(spot, greeted, noise, size, sealed) -> None:
    with Client(spot, HELLO if greeted else None) as client:
        fd = _segment(size, sealed=sealed)
        for each in noise:
            try:
                wire.send(client.sock, each, (fd,))
                reply = client.answer()
            except (BrokenPipeError, ConnectionResetError):
                break
            assert reply is None or isinstance(reply, (Refused, Computed, Short, Welcome, Facts))
        os.close(fd)
    _works(spot)


ATTACKS = {
    "an offset outside": {"offset": 4096},
    "an end outside": {"offset": 4032, "shape": (128,), "nbytes": 128},
    "a negative offset": {"offset": -64},
    "an unaligned offset": {"offset": 1},
    "a size that is not the shape's": {"nbytes": 5},
    "a product that overflows": {"shape": (2**33, 2**33), "nbytes": 0},
    "too many dimensions": {"shape": (1,) * 17, "nbytes": 1},
    "no such type": {"dtype": "object"},
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_tensor_that_is_not_in_the_segment_is_refused(spot, attack) -> None:
    with Client(spot) as client:
        fd = _segment(4096)
        reply = client.ask(_compute(**ATTACKS[attack]), [fd])
        assert isinstance(reply.to_error(), InvalidArgument)
        os.close(fd)
    _works(spot)


def _unsealed() -> int:
    return _segment(4096, sealed=False)


def _short() -> int:
    return _segment(64)


def _read_only() -> int:
    fd = region.create("test", 4096)
    region.seal(fd)
    return fd


def _pipe() -> int:
    reader, writer = os.pipe()
    os.close(writer)
    return reader


@pytest.mark.parametrize("make", [_unsealed, _short, _read_only, _pipe])
def test_a_segment_that_could_hurt_is_not_mapped(spot, make) -> None:
    with Client(spot) as client:
        fd = make()
        reply = client.ask(_compute(), [fd])
        assert isinstance(reply.to_error(), InvalidArgument)
        os.close(fd)
        # Nor is it kept: a request without one has none.
        assert "no segment" in client.ask(_compute()).text
    _works(spot)


def test_a_client_cannot_cut_a_segment_short(spot) -> None:
    with Client(spot) as client:
        fd = _segment(4096)
        client.ask(_compute(), [fd])
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 0)
        os.close(fd)


@pytest.mark.parametrize("nbytes", [0, -1, 1 << 40])
def test_a_segment_of_an_odd_size_is_refused(spot, nbytes) -> None:
    with Client(spot) as client:
        fd = _segment(4096)
        assert isinstance(client.ask(_compute(nbytes), [fd]).to_error(), InvalidArgument)
        os.close(fd)


def test_descriptors_that_nobody_wants_are_closed(spot) -> None:
    pid = spot.pid()
    with Client(spot) as client:
        fd = _segment(4096)
        client.ask(_compute(), [fd])
        before = len(os.listdir(f"/proc/{pid}/fd"))
        for _ in range(5):
            client.ask(Finish(), [fd, fd, fd])
            client.ask(_compute(), [fd, fd])
            client.ask(_compute(), [fd])
        assert len(os.listdir(f"/proc/{pid}/fd")) == before
        os.close(fd)


@pytest.mark.parametrize(
    "message", [Compute([], 0, 1), Single([], 0, 1, True), Collect(0, 1), Finish()]
)
def test_hello_comes_first(spot, message) -> None:
    with Client(spot, None) as client:
        assert isinstance(client.ask(message).to_error(), ProtocolError)
        assert client.answer() is None


def test_another_version_is_refused(spot) -> None:
    with Client(spot, None) as client:
        reply = client.ask(Hello(messages.VERSION + 1, "", 0.0))
        assert isinstance(reply.to_error(), ProtocolError)


def test_nothing_can_be_collected_twice(spot) -> None:
    with Client(spot) as client:
        fd = _segment(4096)
        reply = client.ask(Compute([Tensor("u8", (4,), 0, 4)], 4096, 4096), [fd])
        assert isinstance(reply, Short)
        larger = _segment(8192)
        assert isinstance(client.ask(Collect(64, 8192), [larger]), Computed)
        assert isinstance(client.ask(Collect(64, 8192)).to_error(), OnecopyError)
        for each in (fd, larger):
            os.close(each)


def test_a_client_that_asks_during_its_text_is_cut_off(load, gate) -> None:
    graph = load("counting", gate=gate.path)
    (spot,) = spots()
    with Client(spot) as client:
        fd = _segment(4096)
        wire.send(client.sock, encode(_compute()), (fd,))
        gate.await_arrival()
        wire.send(client.sock, encode(_compute()))
        gate.open()
        assert isinstance(client.answer().to_error(), ProtocolError)
        assert client.answer() is None
        os.close(fd)
    graph.close()


def test_too_many_users_are_turned_away(load) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] < 2 * USERS:
        pytest.skip("this process may not have so many files open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    graph = load("affine")
    (spot,) = spots()
    clients = []
    try:
        for _ in range(USERS - 1):
            clients.append(Client(spot, None))
        with Client(spot, None) as client:
            assert isinstance(client.answer().to_error(), LimitReached)
        clients.pop().sock.close()
        graph.run([np.ones(1)])
    finally:
        for each in clients:
            each.sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_what_waits_at_the_same_time_is_run_together(load, gate) -> None:
    graph = load("affine", batch=8, gate=gate.path)
    contexts = [graph.context() for _ in range(5)]
    for number, context in enumerate(contexts):
        context.set_input(0, "i32", (1, 1), np.int32(number).tobytes())
        thread = threading.Thread(target=context.compute)
        thread.start()
        gate.await_arrival()
        gate.open()
        thread.join()
    first = threading.Thread(target=contexts[0].compute)
    first.start()
    gate.await_arrival()
    # Sent, but not read: the process is at the gate.
    for context in contexts[1:]:
        space = context._space
        wire.send(context._line._sock, encode(Compute(space.inputs(), space.room, space.nbytes)))
    gate.open()
    gate.await_arrival()
    gate.open()
    first.join()
    for number, context in enumerate(contexts[1:], 1):
        reply = messages.decode_reply(wire.receive(context._line._sock)[0])
        context._space.take(reply.outputs)
        assert np.frombuffer(context.output(0), np.int32).tolist() == [2 * number]
        assert np.frombuffer(context.output(1), np.int64).tolist() == [4]
    for context in contexts:
        context.close()


def test_another_user_is_not_served(spot) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    path = f"/proc/self/fd/{os.open(spot.folder, os.O_PATH)}/socket"
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.seteuid(65534)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            sock.connect(path)
        except PermissionError:
            status = 7
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    os.close(int(path.split("/")[4]))
