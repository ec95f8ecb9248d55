"""A sparse memfd for a pool: what it takes, who may use it, and when it goes."""

from __future__ import annotations

import pytest

from onecopy.errors import LimitReached, StoreClosed
from onecopy.planner.pools.memory import Memory
from onecopy.segments.region import PAGE
from tests.conftest import open_files
from tests.planner.running.limits import few_descriptors


def test_it_takes_addresses_and_no_memory_until_it_is_written_to() -> None:
    with Memory("1GiB") as memory:
        assert memory.nbytes == 1 << 30
        assert memory.resident == 0
        memory.view(5 * PAGE, 1)[0] = 7
        assert memory.resident == PAGE


def test_it_has_whole_pages() -> None:
    with Memory(PAGE + 1) as memory:
        assert memory.nbytes == 2 * PAGE


def test_discarded_pages_read_as_zeros_and_partial_ones_stay() -> None:
    with Memory(4 * PAGE) as memory:
        memory.view(0, 4 * PAGE)[:] = b"x" * (4 * PAGE)
        memory.discard(10, 3 * PAGE + 10)
        assert memory.resident == 2 * PAGE
        view = memory.view(0, 4 * PAGE)
        assert view[PAGE - 1] == view[3 * PAGE] == ord("x")
        assert bytes(view[PAGE : 3 * PAGE]) == bytes(2 * PAGE)


def test_views_outlive_it() -> None:
    memory = Memory(PAGE)
    view = memory.view(0, 3)
    view[:] = b"abc"
    memory.close()
    memory.close()
    assert bytes(view) == b"abc"


def test_closed_it_says_so_and_keeps_no_descriptor() -> None:
    before = open_files()
    memory = Memory(PAGE)
    memory.close()
    assert open_files() == before
    with pytest.raises(StoreClosed, match="make another"):
        memory.view(0, 1)


def test_without_a_descriptor_it_says_what_to_raise() -> None:
    with few_descriptors(0), pytest.raises(LimitReached, match="ulimit -n"):
        Memory(PAGE)


def test_beyond_all_addresses_it_says_so_and_keeps_no_descriptor() -> None:
    before = open_files()
    with pytest.raises(OSError, match=r"memory|address"):
        Memory(1 << 60)
    assert open_files() == before
