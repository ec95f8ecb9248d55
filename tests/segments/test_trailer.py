from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import CorruptEntry
from onecopy.segments import region, trailer
from onecopy.segments.trailer import Trailer

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
keys = names.map(str.encode).filter(lambda key: len(key) <= 255)


@pytest.fixture
def fd() -> Iterator[int]:
    fd = region.create("file")
    yield fd
    os.close(fd)


def written(facts: Trailer, before: bytes) -> int:
    """Return a descriptor of a file that ends with that trailer."""
    fd = region.create("file")
    size = len(before) + trailer.nbytes_for(facts.name, facts.origin)
    region.write(fd, [before, facts.pack(size)])
    return fd


@given(
    keys, st.binary(max_size=2000), st.integers(0, 2**62), st.floats(0.001, 1e9) | st.none(),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_what_was_written_is_read(
    key: bytes, spec: bytes, created: int, ttl: float | None, pinned: bool, parts: bool
) -> None:
    flags = trailer.flags(pinned=pinned, parts=parts)
    facts = Trailer(key, 64, 100, len(spec), 36, created, ttl, flags)
    fd = written(facts, bytes(100) + spec)
    size = os.fstat(fd).st_size
    found, before = trailer.read(fd, size)
    assert found == facts
    assert trailer.spec_of(fd, size, found, before) == spec
    os.close(fd)


@pytest.mark.parametrize("length", [1, 900, 1100, 4000])
def test_a_long_origin_takes_a_second_read(length: int) -> None:
    origin = b"/" + b"o" * length
    flags = trailer.flags(pinned=False, apart=True)
    facts = Trailer(b"x", 64, 100, 5, 36, 1, None, flags, origin, 200, 3)
    fd = written(facts, bytes(50) + b"spec!")
    size = os.fstat(fd).st_size
    found, before = trailer.read(fd, size)
    assert found == facts
    assert trailer.spec_of(fd, size, found, before) == b"spec!"
    os.close(fd)


@pytest.mark.parametrize("content", [b"", b"short", bytes(trailer.FIXED), bytes(5000)])
def test_other_files_have_none(fd: int, content: bytes) -> None:
    region.write(fd, [content])
    with pytest.raises(CorruptEntry):
        trailer.read(fd, len(content))


def test_a_file_that_grew_or_shrank_has_none(fd: int) -> None:
    data = bytes(120) + Trailer(b"x", 64, 100, 20, 36, 0).pack(120 + 105)
    for content in (b"\0" + data, data[1:], data + b"\0", data[:-1]):
        os.ftruncate(fd, 0)
        region.write(fd, [content])
        with pytest.raises(CorruptEntry):
            trailer.read(fd, len(content))
