"""A connection in the process of a model: its segment, and what it is answered."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from onecopy.errors import InvalidArgument, LimitReached, ProtocolError
from onecopy.nn.service.messages import Collect, Compute, Computed, Refused, Short, Tensor
from onecopy.nn.service.seat import Seat
from onecopy.store.daemon.loop import Loop
from onecopy.store.daemon.peer import Peer
from tests.nn.arithmetic import Counting
from tests.nn.service.user import NBYTES, Client


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client()
    yield client
    client.close()


def compute(room: int = 0, nbytes: int = NBYTES, *inputs: Tensor) -> Compute:
    return Compute(list(inputs), room, nbytes)


def test_a_segment_stays_until_another_one_comes(client) -> None:
    one = Tensor("u8", (1,), 0, 1)
    for text in (b"\x01", b"\x02"):
        fd = client.segment()
        os.pwrite(fd, text, 0)
        client.seat.attach(compute(), [fd])
        client.seat.attach(compute(), [])
        assert client.seat.arrays(compute(0, NBYTES, one))[0].tobytes() == text


def test_without_a_segment_nothing_can_be_asked(client) -> None:
    with pytest.raises(InvalidArgument, match="no segment"):
        client.seat.attach(compute(), [])
    with pytest.raises(InvalidArgument, match="no segment"):
        client.seat.arrays(compute())
    with pytest.raises(InvalidArgument, match="more than one"):
        client.seat.attach(compute(), [client.segment(), client.segment()])


def test_a_segment_that_cannot_be_trusted_does_not_leave_the_last_one(client) -> None:
    client.seat.attach(compute(), [client.segment()])
    with pytest.raises(InvalidArgument):
        client.seat.attach(compute(nbytes=1 << 20), [client.segment()])
    with pytest.raises(InvalidArgument, match="no segment"):
        client.seat.attach(compute(), [])


@pytest.mark.parametrize("room", [-1, NBYTES + 1])
def test_room_is_inside_of_the_segment(client, room) -> None:
    with pytest.raises(InvalidArgument, match="room"):
        client.seat.attach(compute(room), [client.segment()])


def test_outputs_are_written_behind_the_room(client) -> None:
    fd = client.segment()
    client.seat.attach(compute(64), [fd])
    client.seat.busy = True
    client.seat.deliver([np.array([7], np.uint8)], ("y",))
    reply = client.answer()
    assert reply == Computed([Tensor("u8", (1,), 64, 1)], ("y",))
    assert os.pread(fd, 1, 64) == b"\x07"
    assert not client.seat.busy


def test_outputs_without_room_are_kept_as_they_were_and_collected_once(client) -> None:
    client.seat.attach(compute(), [client.segment()])
    output = np.ones(2 * NBYTES, np.uint8)
    client.seat.deliver([output])
    output[:] = 9  # It is the model's memory, and may be used again.
    assert client.answer() == Short(2 * NBYTES)
    fd = client.segment(4 * NBYTES)
    client.seat.attach(Collect(0, 4 * NBYTES), [fd])
    client.seat.collect()
    assert isinstance(client.answer(), Computed)
    assert os.pread(fd, 2 * NBYTES, 0) == b"\x01" * 2 * NBYTES
    with pytest.raises(ProtocolError, match="no outputs"):
        client.seat.collect()


def test_a_new_request_forgets_what_was_not_collected(client) -> None:
    client.seat.attach(compute(), [client.segment()])
    client.seat.deliver([np.ones(2 * NBYTES, np.uint8)])
    client.seat.attach(compute(), [])
    with pytest.raises(ProtocolError):
        client.seat.collect()


def test_too_many_outputs_are_no_answer(client) -> None:
    client.seat.attach(compute(), [client.segment()])
    with pytest.raises(LimitReached):
        client.seat.deliver([np.ones(1)] * 65)


def test_a_refusal_lets_it_ask_again(client) -> None:
    client.seat.busy = True
    client.seat.refuse(InvalidArgument("no"))
    assert client.answer() == Refused("InvalidArgument", "no")
    assert not client.seat.busy


def test_a_text_models_seat_has_a_conversation_with_its_options() -> None:
    client = Client(Counting(), '{"length": 1}')
    fd = client.segment()
    os.pwrite(fd, b"prompt", 0)
    client.seat.attach(compute(), [fd])
    texts = client.seat.texts(compute(0, NBYTES, Tensor("u8", (6,), 0, 6)))
    assert texts == (b"prompt", b"")
    generation = client.seat.generation
    generation.begin(*texts)
    while not generation.done:
        generation.step()
    assert generation.text == b"prompt1 "
    client.seat.finish()
    assert generation.text == b""
    for inputs in ((), (None,), (Tensor("u8", (1,), 0, 1),) * 3):
        with pytest.raises(InvalidArgument, match="two inputs"):
            client.seat.texts(compute(0, NBYTES, *inputs))
    client.close()


def test_options_that_are_none_open_no_seat() -> None:
    import socket

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer = Peer(theirs, Loop(), lambda *_: None, lambda _: None)
    with pytest.raises(InvalidArgument, match="JSON"):
        Seat(peer, 0, "[]", Counting())
    peer.close()
    ours.close()
