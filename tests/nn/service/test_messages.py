"""Messages between users of a model and its process: as docs/nn-protocol.md has them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import ProtocolError
from onecopy.nn.service import messages

PAGE = Path(__file__).parents[3] / "docs" / "nn-protocol.md"
ROW = re.compile(r"^\| `([A-Z]\w+)` \| ([^|]*)\|", re.MULTILINE)


def test_the_page_has_every_message_with_its_fields() -> None:
    rows = {name: re.findall(r"`(\w+)`", fields) for name, fields in ROW.findall(PAGE.read_text())}
    both = (*messages.Request.__args__, *messages.Reply.__args__)
    own = {each for each in both if each.__module__ == messages.__name__}
    assert rows == {each.__name__: list(each.__struct_fields__) for each in own}


def test_the_page_has_the_limits() -> None:
    text = PAGE.read_text()
    assert f"Version {messages.VERSION}." in text
    assert f"At most {messages.TENSORS}, of at most {messages.DIMENSIONS} dimensions" in text
    assert f"at most {messages.SEGMENT >> 30} GiB" in text


@given(st.binary(max_size=100))
def test_anything_else_is_no_message(noise) -> None:
    for decode in (messages.decode_request, messages.decode_reply):
        try:
            decode(noise)
        except ProtocolError:
            continue


def test_what_one_side_says_is_no_message_of_the_other() -> None:
    with pytest.raises(ProtocolError):
        messages.decode_request(messages.encode(messages.Short(1)))
    with pytest.raises(ProtocolError):
        messages.decode_reply(messages.encode(messages.Ask()))
