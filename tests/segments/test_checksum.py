from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import xxhash

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
def test_it_is_the_xxh3_of_the_file_with_zeros_for_the_digits(fd: int, nbytes: int) -> None:
    data = fill(fd, nbytes)
    files.finish(fd, len(data))
    assert os.pread(fd, 16, DIGITS_AT).decode() == xxhash.xxh3_64_hexdigest(data)
    assert checksum.verify(fd, len(data))


def test_its_digits_are_those_of_the_specification(fd: int) -> None:
    running = Running()
    assert running.digits == "2d06800538d394c2"  # Of no bytes, with the seed 0.


def test_it_is_the_same_in_pieces_and_from_a_file(fd: int) -> None:
    data = fill(fd, 1 << 20)
    running = Running()
    running.update(data[:100])
    running.read(fd, 100, 3000)
    running.update(memoryview(data)[3000:])
    assert running.digits == xxhash.xxh3_64_hexdigest(data)


def test_a_file_that_is_cut_meanwhile_is_an_error(fd: int) -> None:
    data = fill(fd, 1000)
    with pytest.raises(CorruptEntry, match="cut short"):
        Running().read(fd, 0, len(data) + 1)


@pytest.mark.parametrize("at", [0, 70, 1000, -1])
def test_a_change_is_found(fd: int, at: int) -> None:
    data = fill(fd, 3000)
    files.finish(fd, len(data))
    position = at % len(data)
    os.pwrite(fd, bytes([os.pread(fd, 1, position)[0] ^ 4]), position)
    with pytest.raises(CorruptEntry, match="checksum"):
        checksum.verify(fd, len(data))


def test_other_files_have_none(fd: int) -> None:
    region.write(fd, [b"x" * 100])
    assert not checksum.verify(fd, 100)
    os.ftruncate(fd, 3)
    assert not checksum.verify(fd, 3)
