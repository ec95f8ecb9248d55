from __future__ import annotations

import os
import resource

import pytest

from onecopy.errors import InvalidArgument, LimitReached, StoreFull
from onecopy.segments import region
from onecopy.segments.mapping import map_fd
from tests.processes import output_of


@pytest.fixture
def fd():
    fd = region.create("test")
    yield fd
    os.close(fd)


def test_buffers_are_written_one_after_another(fd: int) -> None:
    assert region.write(fd, [b"ab", b"", memoryview(b"cde")]) == 5
    assert os.pread(fd, 10, 0) == b"abcde"


def test_more_buffers_than_one_call_takes_are_written(fd: int) -> None:
    buffers = [bytes([i % 256]) * (i % 3) for i in range(5000)]
    region.write(fd, buffers, offset=7)
    assert os.pread(fd, 20_000, 7) == b"".join(buffers)


def test_a_sealed_segment_cannot_be_changed(fd: int) -> None:
    region.write(fd, [b"x" * 100])
    region.seal(fd)
    for change in (
        lambda: os.pwrite(fd, b"y", 0),
        lambda: os.ftruncate(fd, 10),
        lambda: os.ftruncate(fd, 1000),
        lambda: map_fd(fd, 100, "shared"),
    ):
        with pytest.raises(PermissionError):
            change()
    assert os.pread(fd, 200, 0) == b"x" * 100


def test_a_mutable_segment_keeps_its_size_only(fd: int) -> None:
    region.write(fd, [b"x" * 100])
    region.seal(fd, mutable=True)
    os.pwrite(fd, b"y", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 10)


def test_check_accepts_what_seal_made(fd: int) -> None:
    region.write(fd, [b"x" * 100])
    region.seal(fd)
    assert region.check(fd, 100, mutable=False).st_size == 100


@pytest.mark.parametrize("mutable", [False, True])
def test_check_refuses_an_unsealed_segment(fd: int, mutable: bool) -> None:
    region.write(fd, [b"x" * 100])
    with pytest.raises(InvalidArgument, match="seal"):
        region.check(fd, 100, mutable=mutable)


def test_check_refuses_the_other_kind_of_seals(fd: int) -> None:
    region.seal(fd, mutable=True)
    with pytest.raises(InvalidArgument, match="seal"):
        region.check(fd, 0, mutable=False)


def test_check_refuses_another_size(fd: int) -> None:
    region.write(fd, [b"x" * 100])
    region.seal(fd)
    with pytest.raises(InvalidArgument, match="100 bytes"):
        region.check(fd, 200, mutable=False)


def test_check_refuses_what_is_no_memfd() -> None:
    reader, writer = os.pipe()
    with pytest.raises(InvalidArgument, match="not a memfd"):
        region.check(reader, 0, mutable=False)
    os.close(reader)
    os.close(writer)


def test_memory_that_the_machine_refuses_is_a_store_full(fd: int) -> None:
    # A limit on file sizes stands for a machine without memory: both fail in the write.
    code = """
        import resource
        from onecopy.errors import StoreFull
        from onecopy.segments import region
        fd = region.create("test")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            region.write(fd, [b"x" * 600, b"y" * 600])
        except StoreFull as error:
            print(error)
    """
    assert "1000 bytes" in output_of(code)
    assert issubclass(StoreFull, MemoryError)


def test_a_process_without_descriptors_is_told_to_raise_its_limit() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        with pytest.raises(LimitReached, match="ulimit -n"):
            region.create("test")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_an_immutable_segment_counts_its_pages_and_a_mutable_one_all_it_may_grow_to() -> None:
    fd = region.create("test", 1 << 20)
    assert region.resident(os.fstat(fd), mutable=False) == region.PAGE
    assert region.resident(os.fstat(fd), mutable=True) == 1 << 20
    os.close(fd)


def test_a_mutable_segment_counts_whole_pages() -> None:
    fd = region.create("test", 10)
    assert region.resident(os.fstat(fd), mutable=True) == region.PAGE
    os.close(fd)
