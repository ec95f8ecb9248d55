"""Frames between the server and its workers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.agents.calls import Call, Refusal
from onecopy.agents.worker import messages
from onecopy.agents.worker.messages import Answer, Asked, Begin, Cancel, Ended, Logged, Ready
from onecopy.errors import ProtocolError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def parts(frame: bytes) -> bytes:
    assert messages.length(frame[:4], 1 << 30) == len(frame) - 4
    return frame[4:]


@settings(deadline=None)
@given(VALUES)
def test_what_is_sent_arrives(value):
    refusal = Refusal("busy", "later")
    for message in (
        Begin(1, "event", b"\0seed", 1 << 60, False, 1.5),
        Answer(1, value, None, 5),
        Answer(1, None, refusal, 5),
        Cancel(1 << 40),
    ):
        assert messages.to_worker(parts(messages.frame(message))) == message
    for message in (
        Ready(["no Landlock"]),
        Asked(1, Call("kv.get", [value])),
        Logged(1, Call("log.step", [value])),
        Ended(1, "ok", "text", 1.0, 2.0, 3.0, 4),
    ):
        assert messages.from_worker(parts(messages.frame(message))) == message


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_a_protocol_error(data):
    for decode in (messages.to_worker, messages.from_worker):
        with pytest.raises(ProtocolError):
            decode(data)


def test_each_side_takes_only_what_the_other_says():
    with pytest.raises(ProtocolError):
        messages.from_worker(parts(messages.frame(Cancel(1))))
    with pytest.raises(ProtocolError):
        messages.to_worker(parts(messages.frame(Ready([]))))


def test_what_is_too_long_is_neither_sent_nor_received():
    with pytest.raises(OverflowError):
        messages.frame(Answer(1, "x" * messages.TO_WORKER_NBYTES, None, 0))
    with pytest.raises(OverflowError):
        messages.frame(Asked(1, Call("x" * messages.FROM_WORKER_NBYTES, [])))
    with pytest.raises(ProtocolError, match="none has over 99"):
        messages.length((100).to_bytes(4, "little"), 99)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0])
def test_numbers_that_are_none_are_refused(number):
    data = parts(messages.frame(Ended(1, "ok", "{}", number, 1.0, 1.0, 1)))
    with pytest.raises(ProtocolError):
        messages.from_worker(data)
