"""What the process of a guest says is a message, or an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import ProtocolError
from onecopy.guests.windows.source import Fields
from onecopy.nn.guest.messages import (
    Ended,
    Folder,
    Module,
    Ready,
    Said,
    Start,
    decode,
    decode_order,
    encode,
)


@pytest.mark.parametrize(
    "message", [Ready(), Said("x", warning=True), Ended(3), Ended(error="GuestTrapped", text="x")]
)
def test_messages_arrive_as_they_were_sent(message):
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    "order",
    [
        Module("digest", component=True),
        Start(("a", ""), (("K", "v"),), (Folder("/x", writable=False),), 1 << 32),
        Start((), (), (), 1, (("w", Fields(0, 64, 8, "F32", (2,), (1,))),), Module("x")),
    ],
)
def test_orders_arrive_as_they_were_sent(order):
    assert decode_order(encode(order)) == order


@given(st.binary(max_size=64))
def test_anything_else_is_an_error(data):
    try:
        message = decode(data)
    except ProtocolError:
        return
    assert isinstance(message, (Ready, Said, Ended))


def test_what_a_host_says_is_not_for_hosts():
    with pytest.raises(ProtocolError):
        decode(encode(Start((), (), (), 1)))
