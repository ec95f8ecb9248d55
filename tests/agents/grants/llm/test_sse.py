"""Server-sent events, however they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.agents.calls import TOO_LARGE, Refused
from onecopy.agents.grants.llm.sse import EVENT_BYTES, Events
from tests.agents.grants.llm.servers import split


def read(*pieces: bytes) -> list[bytes]:
    events = Events()
    return [each for piece in pieces for each in events.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [b"a", b"b", b"c"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b": comment\n\nevent: x\nid: 1\ndata: a\nretry: 2\n\n", [b"a"]),
        (b"data\n\n", [b""]),
        (b"datas: a\n\n", []),
        (b"data: a\n", []),
        (b"data: a", []),
        (b"\n\n\n", []),
    ],
)
def test_events_are_read_as_the_standard_says(stream: bytes, expected: list[bytes]) -> None:
    assert read(stream) == expected


streams = st.lists(
    st.sampled_from([b"data: a", b"data:", b": c", b"\n", b"\r\n", b"\r", b"x", b""])
)


@given(parts=streams, places=st.lists(st.integers(0, 200)))
def test_it_does_not_matter_where_a_stream_is_cut(parts: list[bytes], places: list[int]) -> None:
    stream = b"".join(parts)
    assert read(*split(stream, places)) == read(stream)


def test_an_event_that_does_not_end_is_refused() -> None:
    events = Events()
    with pytest.raises(Refused) as caught:
        for _ in range(EVENT_BYTES // 1000 + 2):
            list(events.feed(b"data: " + b"x" * 1000 + b"\n"))
    assert caught.value.refusal.code == TOO_LARGE


def test_comments_may_go_on_for_ever() -> None:
    events = Events()
    for _ in range(EVENT_BYTES // 1000 + 2):
        assert not list(events.feed(b":" + b"x" * 1000 + b"\n"))
    assert list(events.feed(b"data: a\n\n")) == [b"a"]
