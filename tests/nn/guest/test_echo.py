"""Texts that are to be seen while they are generated, by a real model that counts."""

from __future__ import annotations

import os

import pytest

from onecopy import nn
from onecopy.errors import ContextFull
from onecopy.nn.guest.echo import Echo
from tests.nn.arithmetic import BACKEND, write
from tests.nn.service.ending import wait_until_ended

ON, OFF = '{"stream-stdout": true}', '{"stream-stdout": false}'


@pytest.fixture
def context(tmp_path):
    """Of a model that counts to five, whose context has room for seven tokens."""
    model = nn.Model(what=str(write(tmp_path / "count", "counting", room=7)), backend=BACKEND)
    with nn.Host({"count": model}, idle_seconds=0) as host, host.load("count") as graph:
        context = graph.context()
        context.set_input(0, "u8", (1,), b"n")
        yield context
        context.close()
    wait_until_ended()


@pytest.fixture
def seen(tmp_path):
    """An echo into a file, and what the file has."""
    fd = os.open(tmp_path / "seen", os.O_WRONLY | os.O_CREAT)
    yield Echo(fd), lambda: (tmp_path / "seen").read_bytes()
    os.close(fd)


def test_a_text_is_seen_and_is_an_output_too(context, seen):
    echo, text = seen
    echo.note(1, ON)
    for _ in range(2):
        echo.compute(1, context)
        assert bytes(context.output(0)) == b"n1 n2 n3 n4 n5 "
    assert text() == b"n1 n2 n3 n4 n5 " * 2


def test_others_are_not_seen(context, seen):
    echo, text = seen
    for options in ("", OFF, '{"stream-stdout": 1}', "[]", "{", memoryview(b"\xff{")):
        echo.note(1, options)
        echo.compute(1, context)
        assert bytes(context.output(0)) == b"n1 n2 n3 n4 n5 "
    assert text() == b""


def test_a_context_does_as_its_graph_until_it_is_told_otherwise(context, seen):
    echo, text = seen
    echo.note(1, ON)
    echo.inherit(2, 1)
    echo.note(2, memoryview(b'{"temp": 0}'))
    echo.compute(2, context)
    assert text() == b"n1 n2 n3 n4 n5 "
    echo.note(2, memoryview(OFF.encode()))
    echo.compute(2, context)
    echo.note(2, ON)
    echo.forget([1, 2])
    echo.compute(2, context)
    echo.inherit(3, 1)
    echo.compute(3, context)
    assert text() == b"n1 n2 n3 n4 n5 "


def test_what_was_generated_before_an_error_is_seen(context, seen):
    echo, text = seen
    echo.note(1, ON)
    options = b'{"length": 9}'
    context.set_input(1, "u8", (len(options),), options)
    with pytest.raises(ContextFull):
        echo.compute(1, context)
    assert text() == b"n1 n2 n3 n4 n5 n6 n7 "
    assert bytes(context.output(0)) == text()


def test_a_text_without_tokens_is_an_output(context, seen):
    echo, text = seen
    echo.note(1, ON)
    options = b'{"length": 0}'
    context.set_input(1, "u8", (len(options),), options)
    echo.compute(1, context)
    assert bytes(context.output(0)) == text() == b""


def test_a_reader_that_has_gone_ends_nothing(context):
    reader, writer = os.pipe()
    os.close(reader)
    echo = Echo(writer)
    echo.note(1, ON)
    echo.compute(1, context)
    os.close(writer)
    assert bytes(context.output(0)) == b"n1 n2 n3 n4 n5 "
