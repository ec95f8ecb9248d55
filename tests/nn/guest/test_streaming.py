"""Texts that appear while they are computed."""

from __future__ import annotations

import pytest

from onecopy import nn
from onecopy.errors import ContextFull
from onecopy.nn.guest.streaming import Streams, print_text
from tests.nn.arithmetic import BACKEND, write
from tests.nn.service.ending import wait_until_ended


class Thing:
    """What a guest says something of."""


@pytest.mark.parametrize(
    ("graph", "context", "wanted"),
    [
        ('{"stream-stdout": true}', None, True),
        ('{"stream-stdout": true}', b'{"stream-stdout": false}', False),
        ("{}", b'{"stream-stdout": true}', True),
        ('{"stream-stdout": true}', b'{"temp": 0}', True),
        ('{"stream-stdout": true, "embedding": true}', None, False),
        ('{"stream-stdout": 1}', None, False),
        ("", None, False),
        ("[]", b"nonsense", False),
        ("[" * 10_000, b"\xff", False),
    ],
)
def test_a_guest_says_whether_it_wants_to_see_a_text(graph, context, wanted: bool) -> None:
    streams, a_graph, a_context = Streams(), Thing(), Thing()
    streams.hear(a_graph, graph)
    if context is not None:
        streams.hear(a_context, context)
    assert streams.wanted(a_graph, a_context) is wanted


@pytest.fixture
def context(tmp_path):
    file = write(tmp_path / "counting", "counting", length=3, room=5)
    model = nn.Model(what=str(file), backend=BACKEND)
    with (
        nn.Host({"counting": model}, idle_seconds=0) as host,
        host.load("counting") as graph,
        graph.context() as context,
    ):
        context.set_input(0, "u8", [1], b"a")
        yield context
    wait_until_ended()


def test_a_text_is_printed_and_is_the_output(context, capfd) -> None:
    for _ in range(2):
        print_text(context)
        assert capfd.readouterr().out == "a1 a2 a3 "
        assert bytes(context.output(0)) == b"a1 a2 a3 "
    context.compute()
    assert bytes(context.output(0)) == b"a1 a2 a3 "
    assert capfd.readouterr().out == ""


def test_a_text_that_was_begun_is_begun_again(context, capfd) -> None:
    context.compute_single()
    print_text(context)
    assert capfd.readouterr().out == "a1 a2 a3 "


def test_a_full_context_is_said_after_the_text(context, capfd) -> None:
    context.set_input(1, "u8", [12], b'{"length":9}')
    with pytest.raises(ContextFull):
        print_text(context)
    assert capfd.readouterr().out == "a1 a2 a3 a4 a5 "
    assert bytes(context.output(0)) == b"a1 a2 a3 a4 a5 "
