"""`get`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import onecopy
from tests.cli.commands import refused, run
from tests.conftest import open_files


def test_the_file_is_a_safetensors_file(store: onecopy.Store, tmp_path: Path) -> None:
    store.save("x", {"w": torch.arange(1000.0)})
    path = tmp_path / "x.safetensors"
    assert run("get", "test", "x", path).stdout.startswith(f"wrote {path}: ")
    assert torch.equal(load_file(path)["w"], torch.arange(1000.0))


def test_what_was_put_comes_back(store: onecopy.Store, tmp_path: Path) -> None:
    tied = np.ones(3)
    store.save("x", {"list": [tied, tied[1:]], "bytes": b"abc", "number": 1})
    run("get", "test", "x", tmp_path / "x.safetensors")
    run("put", "test", "y", tmp_path / "x.safetensors")
    y = store.load("y")
    y["list"][0][1] = 7
    assert y["list"][1].tolist() == [7, 1]
    assert (bytes(y["bytes"]), y["number"]) == (b"abc", 1)


def test_a_file_that_exists_needs_force(store: onecopy.Store, tmp_path: Path) -> None:
    store.save("x", torch.ones(3))
    path = tmp_path / "x"
    path.write_text("old")
    assert "give --force" in refused("get", "test", "x", path)
    assert path.read_text() == "old"
    run("get", "test", "x", path, "--force")
    assert len(load_file(path)) > 0


def test_the_umask_decides_the_mode(store: onecopy.Store, tmp_path: Path) -> None:
    store.save("x", torch.ones(3))
    before = os.umask(0o027)
    try:
        run("get", "test", "x", tmp_path / "x")
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_a_failure_leaves_no_file_and_no_descriptor(
    store: onecopy.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    store.save("x", torch.ones(3))
    for call in ("copy_file_range", "sendfile", "pwrite"):
        monkeypatch.setattr(os, call, fail)
    before = open_files()
    path = tmp_path / "folder" / "x"
    path.parent.mkdir()
    assert "the disk is full (No space left on device)" in refused("get", "test", "x", path)
    assert list(path.parent.iterdir()) == []
    assert open_files() == before


def test_bad_places_are_refused_by_name(store: onecopy.Store, tmp_path: Path) -> None:
    store.save("x", torch.ones(3))
    assert "is a folder" in refused("get", "test", "x", tmp_path, "--force")
    missing = tmp_path / "missing" / "x"
    assert f"{missing.parent} is no folder; make it" in refused("get", "test", "x", missing)


@pytest.mark.usefixtures("store")
def test_a_missing_entry_is_an_error(tmp_path: Path) -> None:
    assert "no entry 'x'" in refused("get", "test", "x", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_it_works_where_proc_cannot_be_seen(store: onecopy.Store) -> None:
    store.save("x", {"w": torch.ones(3)})
    with onecopy.connect("test", direct=False) as client:
        fd, found = client._entries.open("x")
    assert os.fstat(fd).st_size == found.size
    os.close(fd)


def test_while_it_copies_the_entry_is_in_use(store: onecopy.Store) -> None:
    store.save("x", torch.ones(3))
    fd, _ = store._entries.open("x")
    assert store.stat("x").in_use
    os.close(fd)
    assert not store.stat("x").in_use
