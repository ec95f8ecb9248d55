"""What workers are told of sequences by messages."""

from __future__ import annotations

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import GuestError, ProtocolError
from onecopy.guests.batch import sequences
from onecopy.guests.batch.sequences import AskLines, CloseSequence, Open, Told, ToldCall
from onecopy.guests.workers import messages
from onecopy.guests.workers.messages import Ping

tokens = st.lists(st.integers(0, 2**32 - 1), max_size=5).map(tuple)
calls = st.builds(
    ToldCall,
    order=st.integers(0, 2**40),
    tokens=tokens,
    number=st.integers(0, 63),
    branches=st.integers(0, 64),
    chosen=st.integers(-1, 2**31),
)
told = st.builds(
    Told,
    number=st.integers(1, 2**40),
    row=st.integers(0, 4095),
    digest=st.text("0123456789abcdef", min_size=64, max_size=64),
    config=st.binary(max_size=20),
    request=st.text(max_size=10),
    prompt=tokens,
    seconds=st.floats(0, 100),
    memory_limit=st.integers(0, 2**32),
    root=st.integers(0, 2**40),
    calls=st.lists(calls, max_size=4).map(tuple),
    again=st.booleans(),
)


@given(one=told)
def test_what_a_sequence_was_told_arrives_as_it_was(one: Told) -> None:
    decode = messages.Decoder(sequences.MESSAGES)
    assert decode(messages.encode(Open(3, (one,)))) == Open(3, (one,))


@given(data=st.binary(max_size=60))
def test_what_is_no_message_is_refused_and_nothing_else_happens(data: bytes) -> None:
    decode = messages.Decoder(sequences.MESSAGES)
    try:
        found = decode(data)
    except ProtocolError:
        return
    assert isinstance(found, messages.Message)


def test_every_message_has_a_tag_of_its_own() -> None:
    kinds = sequences.MESSAGES.__args__
    tags = [msgspec.msgpack.decode(msgspec.msgpack.encode(each), type=list)[0] for each in MADE]
    assert len({*tags}) == len(MADE) <= len(kinds)


MADE = (
    sequences.Detach(1),
    sequences.Return(1, 2),
    sequences.Lend(1, 2),
    Open(1, ()),
    CloseSequence(1, 2),
    AskLines(1, 2),
)


def test_a_worker_that_is_asked_about_closed_ones_says_so(pool) -> None:
    worker = pool.place()
    with pytest.raises(GuestError, match="were closed"):
        worker.request(AskLines(1 << 40, 1))
    pool.leave(worker)


def test_to_end_what_is_not_there_is_no_error(pool) -> None:
    worker = pool.place()
    worker.send(sequences.Detach(1 << 40))
    worker.request(Ping())
    pool.leave(worker)


def test_lines_of_a_sequence_that_is_gone_are_none(controllers, scripted) -> None:
    sequence = controllers.open(scripted)
    controllers.step({sequence: []})
    worker, key = sequence.station.worker, controllers.batch.key
    assert worker.request(AskLines(key, sequence.number)).logs
    assert worker.request(AskLines(key, sequence.number + 1000)).logs == ()


def test_a_descriptor_that_nobody_expects_is_closed(controllers, scripted) -> None:
    sequence = controllers.open(scripted)
    worker = sequence.station.worker
    before = len(os.listdir(f"/proc/{worker.pid}/fd"))
    fd = os.eventfd(0)
    for _ in range(3):
        worker.request(AskLines(controllers.batch.key, sequence.number), (fd,))
    os.close(fd)
    assert len(os.listdir(f"/proc/{worker.pid}/fd")) == before
