from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import (
    GuestError,
    GuestTimeout,
    InvalidArgument,
    ProtocolError,
    WindowRefused,
)
from onecopy.guests.workers import messages
from onecopy.guests.workers.messages import Decoder, Done, Failed, Forget, Load, Ping

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def test_a_message_arrives_with_its_number_and_its_descriptors(pair: Pair) -> None:
    fd = messages.memfd(b"hello")
    messages.send(pair[0], messages.number(7), messages.encode(Load("a")), (fd, fd))
    head, data, fds = messages.receive(pair[1])
    assert head == messages.number(7)
    assert Decoder(Ping | Load)(data) == Load("a")
    assert [messages.contents(each) for each in fds] == [b"hello", b"hello"]
    os.close(fd)


def test_the_end_of_a_stream_is_empty(pair: Pair) -> None:
    pair[0].close()
    assert messages.receive(pair[1]) == (b"", b"", [])


def test_what_fills_no_datagram_travels_in_a_memfd_before_the_other_descriptors(
    pair: Pair,
) -> None:
    fd = messages.memfd(b"hello")
    messages.send(pair[0], messages.number(1), b"x" * 300_000, (fd,))
    _, data, fds = messages.receive(pair[1])
    assert data == b"x" * 300_000
    assert [messages.contents(each) for each in fds] == [b"hello"]
    os.close(fd)


def test_too_long_a_message_and_too_many_descriptors_are_refused(pair: Pair) -> None:
    with pytest.raises(InvalidArgument, match="window"):
        messages.send(pair[0], messages.number(1), bytes(messages.LIMIT + 1))
    with pytest.raises(InvalidArgument, match="descriptors"):
        messages.send(pair[0], messages.number(1), b"", (0,) * 253)


def test_memfds_are_sealed() -> None:
    fd = messages.memfd(b"hello")
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"j", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    os.close(fd)


@given(st.binary())
def test_a_decoder_survives_any_bytes(data: bytes) -> None:
    try:
        message = Decoder(Done, Failed)(data)
    except ProtocolError:
        return
    assert isinstance(message, (Done, Failed))


def test_messages_of_other_services_are_refused() -> None:
    with pytest.raises(ProtocolError):
        Decoder(Ping)(messages.encode(Forget("a")))


def test_errors_arrive_as_their_types() -> None:
    for kind in (WindowRefused, GuestTimeout, GuestError):
        error = Failed.of(kind("what to do")).to_error()
        assert type(error) is kind
        assert str(error) == "what to do"


@pytest.mark.parametrize("name", ["SystemExit", "annotations", "no such thing", "__name__"])
def test_what_is_no_error_of_ours_arrives_as_a_failure_of_the_guest(name: str) -> None:
    error = Failed(name, "text").to_error()
    assert type(error) is GuestError
    assert str(error) == f"{name}: text"


def test_arguments_are_laid_out_by_the_signature() -> None:
    assert messages.arguments(("i32", "f32", "i64", "f64")).format == "<qdqd"
    assert messages.arguments(()).size == 0
