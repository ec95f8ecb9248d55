"""A context's way to the process of its model, which may end at any time."""

from __future__ import annotations

import os
import signal

import pytest

from onecopy.errors import BackendLost, InferenceFailed, InvalidArgument, ProtocolError
from onecopy.nn import line
from onecopy.nn.line import Line
from onecopy.nn.service.messages import (
    Collect,
    Compute,
    Computed,
    Done,
    Finish,
    Refused,
    Short,
    Welcome,
)
from onecopy.nn.service.spot import spots
from onecopy.nn.workspace import Workspace
from tests.nn.service.ending import wait_for


def computing(space: Workspace, data: bytes = b"\x01") -> Compute:
    space.put(0, "u8", (len(data),), data)
    return Compute(space.inputs(), space.room, space.nbytes)


@pytest.fixture
def space():
    space = Workspace()
    yield space
    space.close()


@pytest.fixture
def line_of(space):
    """A function that returns a line of a graph; it is closed in the end."""
    lines = []

    def line_of(graph) -> Line:
        lines.append(Line(graph, space))
        return lines[-1]

    yield line_of
    for each in lines:
        each.drop()


def kill() -> None:
    (pid,) = (each.pid() for each in spots())
    os.kill(pid, signal.SIGKILL)
    wait_for(pid)


def test_the_segment_goes_along_once(load, line_of, space) -> None:
    line = line_of(load("affine"))
    assert not line.connected
    assert isinstance(line.ask(computing(space)), Computed)
    assert not space.fresh
    assert isinstance(line.ask(computing(space)), Computed)
    line.drop()
    assert isinstance(line.ask(computing(space)), Computed)


def test_a_process_that_ended_is_started_again_without_a_word(load, line_of, space) -> None:
    line = line_of(load("affine"))
    line.ask(computing(space))
    kill()
    reply = line.ask(computing(space, b"\x03"))
    assert isinstance(reply, Computed)
    space.take(reply.outputs)
    assert bytes(space.views[0]) == b"\x06"


def test_but_not_for_what_goes_on_with_something_that_it_knew(load, line_of, space) -> None:
    line = line_of(load("affine"))
    line.ask(computing(space))
    kill()
    with pytest.raises(BackendLost, match="the next one starts it again"):
        line.ask(Collect(space.room, space.nbytes), goes_on=True)
    assert not line.connected
    assert isinstance(line.ask(computing(space)), Computed)


def test_an_end_in_the_middle_of_a_request_is_told(load, line_of, space) -> None:
    line = line_of(load("misbehave"))
    with pytest.raises(BackendLost, match="in the middle of a request"):
        line.ask(computing(space, b"crash"))
    assert not line.connected


def test_a_refusal_keeps_the_line(load, line_of, space) -> None:
    line = line_of(load("misbehave"))
    reply = line.ask(computing(space, b"raise"))
    assert isinstance(reply.to_error(), InferenceFailed)
    assert line.connected
    reply = line.ask(Collect(space.room, space.nbytes))
    assert isinstance(reply.to_error(), (ProtocolError, InvalidArgument))


def test_what_is_given_back_is_the_next_ones(load, line_of, space) -> None:
    graph = load("affine")
    first, second = line_of(graph), line_of(graph)
    first.ask(computing(space))
    first.give_back()
    assert not first.connected
    second.ask(computing(space))
    assert not graph._idle


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        (Finish(), Computed([], ())),
        (Compute([], 0, 0), Done()),
        (Collect(0, 0), Short(1)),
        (Compute([], 0, 0), Welcome(1, "text", [], [], 1)),
    ],
)
def test_a_reply_to_something_else_is_an_error(message, reply) -> None:
    with pytest.raises(ProtocolError, match="does not answer"):
        line._checked(reply, message)
    assert line._checked(Refused("InferenceFailed", "x"), message)
