"""`put`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import onecopy
from onecopy.cli import put as module
from tests.cli.commands import on_terminal, refused, run


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A small checkpoint."""
    path = tmp_path / "model.safetensors"
    save_file({"w": torch.randn(64, 32), "b": torch.arange(3, dtype=torch.bfloat16)}, path)
    return path


def test_a_checkpoint_becomes_a_dict_of_its_tensors(store: onecopy.Store, checkpoint: Path) -> None:
    assert "imported 'llama': 8.01 KiB" in run("put", "test", "llama", checkpoint).stdout
    assert store.stats().used == 0
    loaded = store.load("llama")
    expected = load_file(checkpoint)
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)


def test_a_checkpoint_is_copied_on_demand(store: onecopy.Store, checkpoint: Path) -> None:
    assert "saved 'model': 2 items" in run("put", "test", checkpoint, "--copy").stdout
    assert store.stats().used > 0
    checkpoint.write_bytes(b"other")
    assert len(store.load("model")) == 2


def test_a_directory_is_imported_as_one_dict(store: onecopy.Store, tmp_path: Path) -> None:
    folder = tmp_path / "llama"
    folder.mkdir()
    for part in "ab":
        save_file({part: torch.ones(3)}, folder / f"{part}.safetensors")
    assert "imported 'llama'" in run("put", "test", folder).stdout
    assert sorted(store.load("llama")) == ["a", "b"]
    assert "name one .safetensors file" in refused("put", "test", folder, "--copy")
    assert "give --overwrite" in refused("put", "test", folder)
    run("rm", "test", "llama")
    assert store.names() == []


def test_what_numpy_says_of_its_own_options_is_not_said(
    store: onecopy.Store, tmp_path: Path
) -> None:
    (tmp_path / "bad.npy").write_bytes(b"nonsense")
    assert "is no whole .npy file" in refused("put", "test", tmp_path / "bad.npy")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    assert "never unpickled" in refused("put", "test", tmp_path / "objects.npy")


def test_the_name_is_the_files_if_none_is_given(store: onecopy.Store, checkpoint: Path) -> None:
    run("put", "test", checkpoint)
    assert store.names() == ["model"]


def test_an_array_stays_an_array(store: onecopy.Store, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    run("put", "test", tmp_path / "a.npy")
    assert store.load("a").tolist() == [[0, 1, 2], [3, 4, 5]]


def test_any_other_file_is_bytes(store: onecopy.Store, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"plain bytes")
    run("put", "test", tmp_path / "a.txt")
    assert bytes(store.load("a")) == b"plain bytes"


def test_a_pickle_is_bytes_and_is_never_opened(store: onecopy.Store, tmp_path: Path) -> None:
    torch.save({"w": torch.ones(3)}, tmp_path / "a.pt")
    assert "looks like a pickle" in run("put", "test", tmp_path / "a.pt").stderr
    assert bytes(store.load("a")) == (tmp_path / "a.pt").read_bytes()


def test_options_reach_the_entry(store: onecopy.Store, checkpoint: Path) -> None:
    options = ("--mutable", "--pin", "--ttl", "10m", "--align", "4KiB")
    run("put", "test", "x", checkpoint, *options)
    entry = store.stat("x")
    assert (entry.mutable, entry.pinned, entry.ttl) == (True, True, 600)
    assert all(tensor.data_ptr() % 4096 == 0 for tensor in store.load("x").values())


def test_a_name_that_is_taken_needs_overwrite(store: onecopy.Store, checkpoint: Path) -> None:
    store.save("model", b"old")
    assert "give --overwrite" in refused("put", "test", checkpoint)
    assert bytes(store.load("model")) == b"old"
    run("put", "test", checkpoint, "--overwrite")
    assert len(store.load("model")) == 2


def test_a_store_without_room_is_left_as_it_was(store: onecopy.Store, tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(65 << 20)
    assert "can never fit" in refused("put", "test", tmp_path / "big")
    assert store.stats().used == 0


def test_bad_files_are_refused_by_name(store: onecopy.Store, tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    (tmp_path / "bad.npy").write_bytes(b"nonsense")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    for name in ("bad.safetensors", "bad.npy", "objects.npy", "missing", "."):
        assert str(tmp_path / name) in refused("put", "test", "x", tmp_path / name)
    assert store.names() == []


def test_a_file_that_is_cut_short_meanwhile_is_refused(
    store: onecopy.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shrinking"
    path.write_bytes(bytes(100_000))
    monkeypatch.setattr(module, "_check_free", lambda *_: os.truncate(path, 0))
    assert f"{path} was cut short" in refused("put", "test", path)
    assert store.stats().used == 0


def test_without_a_file_it_says_so() -> None:
    assert "FILE is missing" in run("put", "test", code=2).stderr


@pytest.mark.usefixtures("store")
def test_progress_is_shown_on_a_terminal_only(checkpoint: Path) -> None:
    with on_terminal("put", "test", checkpoint, "--copy") as terminal:
        assert "/8.1 KiB" in terminal.read_all()
    assert run("put", "test", "again", checkpoint).stderr == ""
