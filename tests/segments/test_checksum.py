from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

import pytest

from onecopy.errors import CorruptEntry
from onecopy.segments import checksum, files, region
from onecopy.segments.checksum import DIGITS_AT, NO_DIGITS, PREFIX, Running


@pytest.fixture
def fd() -> Iterator[int]:
    fd = region.create("file")
    yield fd
    os.close(fd)


def fill(fd: int, nbytes: int) -> bytes:
    """Write what begins as a file of ours, and return it."""
    data = bytes(8) + PREFIX + NO_DIGITS.encode() + os.urandom(nbytes)
    region.write(fd, [data])
    return data


@pytest.mark.parametrize("nbytes", [0, 1, 1000, 3 << 20])
def test_it_is_the_crc32_of_the_file_with_zeros_for_the_digits(fd: int, nbytes: int) -> None:
    data = fill(fd, nbytes)
    files.stamp(fd, len(data))
    assert os.pread(fd, 8, DIGITS_AT).decode() == f"{zlib.crc32(data):08x}"
    assert checksum.verify(fd, len(data))


def test_it_can_be_computed_while_the_file_is_written(fd: int) -> None:
    data = fill(fd, 5 << 20)
    os.ftruncate(fd, 0)
    running = Running(fd)
    for start in range(0, len(data), 1 << 20):
        region.write(fd, [data[start : start + (1 << 20)]], start)
        running.advance(min(start + (1 << 20), len(data)))
    assert running.finish(len(data)) == f"{zlib.crc32(data):08x}"


def test_a_file_that_is_cut_meanwhile_is_an_error(fd: int) -> None:
    data = fill(fd, 1000)
    running = Running(fd)
    running.advance(len(data) + 1)
    with pytest.raises(CorruptEntry):
        running.finish(len(data) + 1)


@pytest.mark.parametrize("at", [0, 70, 1000, -1])
def test_a_change_is_found(fd: int, at: int) -> None:
    data = fill(fd, 3000)
    files.stamp(fd, len(data))
    position = at % len(data)
    os.pwrite(fd, bytes([os.pread(fd, 1, position)[0] ^ 4]), position)
    with pytest.raises(CorruptEntry, match="checksum"):
        checksum.verify(fd, len(data))


def test_other_files_have_none(fd: int) -> None:
    region.write(fd, [b"x" * 100])
    assert not checksum.verify(fd, 100)
    os.ftruncate(fd, 3)
    assert not checksum.verify(fd, 3)
