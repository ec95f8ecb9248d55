from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from onecopy.errors import StoreFull
from onecopy.segments import files, region


def opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT)


@pytest.mark.parametrize("source", ["memfd", "file"])
def test_a_range_is_copied_from_memory_and_from_files(source: str, tmp_path: Path) -> None:
    data = os.urandom(9 << 20)
    fd = region.create("source") if source == "memfd" else opened(tmp_path / "source")
    region.write(fd, [data])
    target = opened(tmp_path / "target")
    counts: list[int] = []
    files.copy(fd, target, len(data) - 30, offset=10, to=5, advance=counts.append)
    assert (tmp_path / "target").read_bytes() == bytes(5) + data[10:-20]
    assert sum(counts) == len(data) - 30
    os.close(fd)
    os.close(target)


def test_all_that_is_copied_can_be_seen_on_its_way(tmp_path: Path) -> None:
    data = os.urandom(5 << 20)
    fd, target = region.create("source"), opened(tmp_path / "target")
    region.write(fd, [data])
    seen, counts = bytearray(), []
    files.copy(fd, target, len(data) - 3, offset=3, to=7, see=seen.extend, advance=counts.append)
    assert seen == data[3:]
    assert (tmp_path / "target").read_bytes() == bytes(7) + data[3:]
    assert sum(counts) == len(seen)
    os.close(fd)
    os.close(target)


@pytest.mark.parametrize("see", [None, len])
def test_a_source_that_ends_too_early_is_an_error(
    see: Callable[[memoryview], object] | None, tmp_path: Path
) -> None:
    fd, target = opened(tmp_path / "source"), opened(tmp_path / "target")
    with pytest.raises(OSError, match="too early"):
        files.copy(fd, target, 1, see=see)
    os.close(fd)
    os.close(target)


def test_two_folders_change_places(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    files.exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "b").exists()
    assert (tmp_path / "b" / "a").exists()
    with pytest.raises(FileNotFoundError):
        files.exchange(tmp_path / "a", tmp_path / "missing")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_a_full_store(code: int) -> None:
    with pytest.raises(StoreFull, match="disk is full"), files.full_disk():
        raise OSError(code, "full")


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(PermissionError), files.full_disk():
        raise PermissionError(errno.EACCES, "no")
