from __future__ import annotations

import gc
import os
import re

import pytest

from onecopy.errors import InvalidArgument, LimitReached
from onecopy.segments import region
from onecopy.segments.mapping import map_fd, memory_at
from tests.conftest import open_files
from tests.processes import output_of


@pytest.fixture
def fd():
    fd = region.create("mapping-test")
    region.write(fd, [bytes(range(256)) * 16])
    yield fd
    os.close(fd)


def mappings() -> int:
    with open("/proc/self/maps") as maps:
        return len(re.findall("mapping-test", maps.read()))


def test_a_view_shows_the_bytes(fd: int) -> None:
    view = map_fd(fd, 4096).view(10, 5)
    assert bytes(view) == bytes(range(10, 15))


def test_a_mapping_keeps_no_descriptor(fd: int) -> None:
    before = open_files()
    mapping = map_fd(fd, 4096)
    assert open_files() == before
    assert mapping.nbytes == 4096


def test_the_last_view_to_die_unmaps(fd: int) -> None:
    mapping = map_fd(fd, 4096)
    view = mapping.view(0, 4)
    part = view[1:3]
    del mapping, view
    gc.collect()
    assert mappings() == 1
    assert bytes(part) == b"\1\2"
    del part
    assert mappings() == 0


def test_private_writes_stay_private(fd: int) -> None:
    view = map_fd(fd, 4096, "private").view()
    view[0] = 99
    assert os.pread(fd, 1, 0) == b"\0"
    assert map_fd(fd, 4096, "private").view()[0] == 0


def test_shared_writes_are_seen_by_all(fd: int) -> None:
    map_fd(fd, 4096, "shared").view()[0] = 99
    assert map_fd(fd, 4096, "readonly").view()[0] == 99


def test_a_write_to_a_readonly_mapping_is_a_fault() -> None:
    code = """
        import os, signal
        from onecopy.segments import region
        from onecopy.segments.mapping import map_fd
        fd = region.create("test", 4096)
        child = os.fork()
        if child == 0:
            map_fd(fd, 4096, "readonly").view()[0] = 1
            os._exit(0)
        print(os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGSEGV)
    """
    assert output_of(code) == "True"


@pytest.mark.parametrize(("offset", "nbytes"), [(-1, 2), (4000, 97), (4097, None), (0, -1)])
def test_a_view_outside_the_mapping_is_refused(fd: int, offset: int, nbytes: int | None) -> None:
    with pytest.raises(InvalidArgument, match="outside"):
        map_fd(fd, 4096).view(offset, nbytes)


def test_an_empty_view_is_fine(fd: int) -> None:
    assert len(map_fd(fd, 4096).view(4096)) == 0


def test_populate_reads_without_copying(fd: int) -> None:
    mapping = map_fd(fd, 4096)
    mapping.populate()
    mapping.view()[0] = 7
    assert os.pread(fd, 1, 0) == b"\0"


def test_a_segment_larger_than_memory_can_be_mapped_privately() -> None:
    size = os.sysconf("SC_PHYS_PAGES") * region.PAGE * 8
    fd = region.create("mapping-test", size)
    view = map_fd(fd, size, "private").view(size - 8)
    view[0] = 1
    assert bytes(view[:2]) == b"\1\0"
    del view
    os.close(fd)


def test_out_of_address_space_says_what_to_raise(fd: int) -> None:
    with pytest.raises(LimitReached, match="max_map_count"):
        map_fd(fd, 1 << 60)


def test_memory_at_is_a_view_of_that_memory(fd: int) -> None:
    mapping = map_fd(fd, 4096)
    assert bytes(memory_at(mapping.address + 3, 2)) == b"\3\4"
