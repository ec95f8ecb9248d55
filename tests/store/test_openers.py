from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from onecopy.segments import region
from onecopy.store.messages import READ, SPEC, WRITE
from onecopy.store.openers import DirectOpener


@pytest.fixture
def opener() -> DirectOpener:
    """One that takes this process for the daemon."""
    return DirectOpener(os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY))


@pytest.fixture
def segment() -> Iterator[int]:
    fd = region.create("onecopy-test", 4096)
    yield fd
    os.close(fd)


def slot(fd: int, spec_fd: str = "") -> Any:
    return SimpleNamespace(fd=str(fd), spec_fd=spec_fd)


@pytest.mark.parametrize(("what", "mode"), [(READ, os.O_RDONLY), (WRITE, os.O_RDWR)])
def test_a_segment_is_opened_anew(opener: DirectOpener, segment: int, what: int, mode: int) -> None:
    fd = opener.open(slot(segment), what)
    assert fd is not None
    try:
        assert os.path.samestat(os.fstat(fd), os.fstat(segment))
        assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == mode
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


def test_the_spec_has_a_number_of_its_own(opener: DirectOpener, segment: int) -> None:
    fd = opener.open(slot(-1, str(segment)), SPEC)
    assert fd is not None
    assert os.path.samestat(os.fstat(fd), os.fstat(segment))
    os.close(fd)


def test_a_number_that_nobody_has_opens_nothing(opener: DirectOpener) -> None:
    assert opener.open(slot(1 << 30), READ) is None


def test_a_memfd_is_found_by_its_inode(opener: DirectOpener, segment: int) -> None:
    ino = os.fstat(segment).st_ino
    number = opener.number_of(ino)
    assert number is not None
    assert os.fstat(int(number)).st_ino == ino
    assert opener.number_of((1 << 63) - 1) is None
