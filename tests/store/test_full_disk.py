"""A directory on a disk that is full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import onecopy
from tests.conftest import open_files


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_save_that_does_not_fit_is_refused_and_leaves_nothing(disk: Path) -> None:
    with onecopy.start("test", dir=disk / "store", capacity="1GiB") as store:
        store.save("a", bytes(600_000))
        before = open_files()
        for value in (bytes(600_000), np.zeros(1_200_000, np.uint8)[::2]):
            with pytest.raises(onecopy.StoreFull, match="disk is full"):
                store.save("b", value)
        assert sorted(os.listdir(disk / "store")) == [".onecopy-lock", "a.safetensors"]
        assert open_files() <= before
        assert store.names() == ["a"]
        store.save("c", bytes(300_000))
    with onecopy.start("test", dir=disk / "store") as store:
        assert store.names() == ["a", "c"]


def test_by_default_a_store_evicts_before_its_disk_is_full(disk: Path) -> None:
    with onecopy.start("test", dir=disk / "store") as store:
        for number in range(4):
            store.save(f"{number}", bytes(300_000))
        assert store.names() == ["1", "2", "3"]
