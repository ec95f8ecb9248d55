from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onecopy.store.index.layout import SLOT_SIZE
from onecopy.store.index.slot import (
    APART,
    FIELDS,
    MUTABLE,
    PARTS,
    VACANT,
    Found,
    Record,
    spec_room,
)

U64 = st.integers(0, 2**64 - 1)
FLAGS = st.integers(0, MUTABLE | APART | PARTS)
KEYS = st.binary(max_size=255)


@given(st.tuples(*[U64] * 4), FLAGS, st.tuples(*[U64] * 8), KEYS, st.data())
def test_a_slot_says_again_what_was_packed(
    first: tuple[int, ...], flags: int, rest: tuple[int, ...], key: bytes, data: st.DataObject
) -> None:
    spec = data.draw(st.binary(max_size=spec_room(key)))
    record = Record(*first, flags, *rest, key, spec)
    raw = record.packed(2)
    assert len(raw) <= SLOT_SIZE
    assert Record.parse(raw.ljust(SLOT_SIZE, b"x")) == record


def test_what_is_vacant_has_no_name() -> None:
    assert Record.parse(VACANT.packed(2)).key == b""


def found(flags: int) -> Found:
    record = Record(0, 0, 0, 7, flags, 300, 64, 256, 44, 9, 0, 0, 0, b"name", b"")
    return Found(3, 24, FIELDS.unpack_from(record.packed(2)), b"")


def test_all_of_a_segment_is_mapped_unless_its_spec_is_elsewhere() -> None:
    assert found(0).extent == 300
    assert found(APART).extent == 256


def test_flags_are_told_apart() -> None:
    flags = [(each.mutable, each.apart, each.parts) for each in map(found, (MUTABLE, APART, PARTS))]
    assert flags == [(True, False, False), (False, True, False), (False, False, True)]


def test_a_descriptor_that_there_is_not_has_no_number() -> None:
    assert (found(0).fd, found(0).spec_fd) == ("7", "")
