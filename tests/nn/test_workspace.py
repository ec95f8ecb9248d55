"""A context's segment, on the side that asks."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import InvalidArgument, LimitReached, ProtocolError
from onecopy.nn import workspace
from onecopy.nn.service.messages import SEGMENT, Tensor
from onecopy.nn.workspace import Workspace
from onecopy.segments.region import keeps_size
from tests.conftest import open_files

_PUTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 100_000), st.integers(0, 200_000)), max_size=8
)


@given(puts=_PUTS)
def test_inputs_stay_apart_and_whole_however_they_grow(puts) -> None:
    space = Workspace()
    expected: dict[int, bytes] = {}
    for number, (index, nbytes, outputs) in enumerate(puts):
        data = bytes([number + 1]) * nbytes
        space.put(index, "u8", (nbytes,), data)
        expected[index] = data
        space.make_room(outputs)
        assert space.room + outputs <= space.nbytes
        space.take([Tensor("u8", (outputs,), space.room, outputs)])
        space.views[0].toreadonly()
    found = space.inputs()
    assert len(found) == max(expected, default=-1) + 1
    for index, data in expected.items():
        tensor = found[index]
        assert space._view[tensor.offset : tensor.offset + tensor.nbytes] == data
    ends = sorted((each.offset, each.offset + each.nbytes) for each in found if each is not None)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ends))
    space.close()


def test_its_size_is_sealed() -> None:
    space = Workspace()
    space.make_room(10)
    assert keeps_size(space.fd)
    assert space.fresh
    space.close()


def test_what_is_not_given_is_none() -> None:
    space = Workspace()
    space.put(2, "u8", (1,), b"x")
    assert space.inputs()[:2] == [None, None]
    space.keep(2)
    assert space.inputs() == []
    space.close()


OUTSIDE = {
    "before the room": Tensor("u8", (4,), 0, 4),
    "behind the end": Tensor("u8", (4,), 1 << 40, 4),
    "across the end": Tensor("u8", (1 << 20,), 64, 1 << 20),
    "of another size": Tensor("f32", (4,), 64, 4),
    "of no type": Tensor("f8", (4,), 64, 4),
    "of a negative size": Tensor("u8", (-4,), 64, -4),
}


@pytest.mark.parametrize("where", OUTSIDE)
def test_outputs_that_are_not_in_the_segment_are_refused(where) -> None:
    space = Workspace()
    space.put(0, "u8", (4,), b"abcd")
    with pytest.raises(ProtocolError):
        space.take([OUTSIDE[where]])
    with pytest.raises(ProtocolError):
        space.take([Tensor("u8", (4,), 64, 4)] * 65)
    space.close()


@pytest.mark.parametrize("nbytes", [-1, SEGMENT + 1])
def test_no_process_can_ask_for_too_much_room(nbytes) -> None:
    with pytest.raises(ProtocolError):
        Workspace().make_room(nbytes)


def test_a_context_has_room_for_so_many_bytes_and_no_more(monkeypatch) -> None:
    monkeypatch.setattr(workspace, "SEGMENT", 1 << 20)
    space = Workspace()
    space.put(0, "u8", (1 << 19,), bytes(1 << 19))
    space.make_room(1 << 19)
    assert space.nbytes == 1 << 20
    with pytest.raises(LimitReached, match="has room for 1048576"):
        space.make_room((1 << 19) + 1)
    with pytest.raises(LimitReached):
        space.put(1, "u8", ((1 << 19) + 1,), bytes((1 << 19) + 1))
    space.put(1, "u8", (1 << 19,), bytes(1 << 19))
    space.close()


def test_too_many_inputs_are_refused() -> None:
    space = Workspace()
    with pytest.raises(InvalidArgument, match="at most"):
        space.put(64, "u8", (1,), b"x")
    space.close()


def test_nothing_stays_open() -> None:
    before = open_files()
    space = Workspace()
    for nbytes in (10, 1 << 17, 1 << 18):
        space.put(0, "u8", (nbytes,), bytes(nbytes))
    space.close()
    space.close()
    assert open_files() == before
