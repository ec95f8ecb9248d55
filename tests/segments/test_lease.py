from __future__ import annotations

import os
import signal

import pytest

from onecopy.segments import lease, region
from onecopy.segments.mapping import map_fd
from tests.processes import script


@pytest.fixture
def held():
    """A segment as the daemon holds it: by a description that was opened."""
    fd = region.create("test", 4096)
    region.seal(fd)
    held = region.reopen(fd)
    os.close(fd)
    before = signal.getsignal(signal.SIGIO)
    lease.prepare()
    yield held
    signal.signal(signal.SIGIO, before)
    os.close(held)


def test_a_segment_that_only_its_holder_has_is_free(held: int) -> None:
    assert not lease.in_use(held)


def test_an_open_description_is_a_use(held: int) -> None:
    reader = region.reopen(held)
    assert lease.in_use(held)
    os.close(reader)
    assert not lease.in_use(held)


@pytest.mark.parametrize("mode", ["private", "readonly"])
def test_a_mapping_without_a_descriptor_is_a_use(held: int, mode) -> None:
    reader = region.reopen(held)
    mapping = map_fd(reader, 4096, mode)
    os.close(reader)
    assert lease.in_use(held)
    del mapping
    assert not lease.in_use(held)


def test_a_killed_reader_uses_nothing(held: int) -> None:
    code = """
        import os, sys
        fd = os.open(f"/proc/{os.getppid()}/fd/{sys.argv[1]}", os.O_RDONLY)
        print("open", flush=True)
        sys.stdin.read()
    """
    with script(code, held) as reader:
        assert reader.stdout.readline() == "open\n"
        assert lease.in_use(held)
        reader.kill()
        reader.wait()
    assert not lease.in_use(held)


def test_a_forked_child_goes_on_using_what_its_parent_mapped(held: int) -> None:
    reader = region.reopen(held)
    mapping = map_fd(reader, 4096)
    os.close(reader)
    go, gone = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(gone)
        os.read(go, 1)
        os._exit(0)
    os.close(go)
    del mapping
    assert lease.in_use(held)
    os.close(gone)
    os.waitpid(child, 0)
    assert not lease.in_use(held)
