"""Checkpoints as entries, mapped where they are."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import onecopy
from onecopy.store import checkpoint_files
from tests.tensors.test_checkpoint import write


@pytest.fixture(params=["memory", "directory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "store" if request.param == "directory" else None


@pytest.fixture
def store(folder: Path | None) -> Iterator[onecopy.Store]:
    """A store in memory, and one in a directory."""
    with onecopy.start("test", capacity="64MiB", dir=folder) as store:
        yield store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A checkpoint of one file; its spec is longer than the index holds."""
    path = tmp_path / "model.safetensors"
    many = {f"layers.{i}.weight": torch.full((3, 4), float(i)) for i in range(30)}
    save_file({"scalar": torch.tensor(7), "empty": torch.empty(0, 3), **many}, path)
    return path


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A checkpoint of two files and an index."""
    path = tmp_path / "llama"
    path.mkdir()
    save_file({"a": torch.ones(3), "b": torch.zeros(2, dtype=torch.int8)}, path / "1.safetensors")
    save_file({"c": torch.arange(5.0)}, path / "2.safetensors")
    write_index(path, {"a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors"})
    return path


def write_index(path: Path, weights: object) -> None:
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))


def test_a_file_becomes_an_entry_without_taking_memory(store: onecopy.Store, file: Path) -> None:
    assert store.import_checkpoint(file) == "model"
    for _ in range(3):
        tensors = store.load("model")
        assert (tensors["scalar"], tensors["empty"].shape) == (7, (0, 3))
        assert torch.equal(tensors["layers.29.weight"], torch.full((3, 4), 29.0))
        tensors["layers.29.weight"].zero_()
    assert store.stat("model").nbytes == 30 * 48 + 8
    assert store.stat("model").resident == 0


def test_a_short_one_is_loaded_from_the_index_alone(store: onecopy.Store, tmp_path: Path) -> None:
    save_file({"w": torch.arange(3.0)}, tmp_path / "x.safetensors")
    store.import_checkpoint(tmp_path / "x.safetensors", "y", pin=True, ttl=100)
    assert store.load("y")["w"].sum() == 3
    assert (store.stat("y").pinned, store.stat("y").ttl) == (True, 100)


def test_files_that_onecopy_wrote_give_what_was_saved(store: onecopy.Store, tmp_path: Path) -> None:
    tied = torch.arange(5.0)
    store.save("x", [tied, tied[1:], "text"])
    store.snapshot(tmp_path / "x.safetensors", "x")
    store.import_checkpoint(tmp_path / "x.safetensors", "y")
    first, second, text = store.load("y")
    first[1] = 7
    assert (second[0], text) == (7, "text")


def test_many_files_are_one_dict(store: onecopy.Store, shards: Path) -> None:
    assert store.import_checkpoint(shards) == "llama"
    for _ in range(3):
        assert sorted(store.load("llama")) == ["a", "b", "c"]
    held = store.load("llama", mode="readonly")
    assert held["a"].data_ptr() == store.load("llama", mode="readonly")["a"].data_ptr()
    assert len(store.names("llama/")) == 2
    assert store.import_checkpoint(shards / "model.safetensors.index.json", "by index")
    assert sorted(store.load("by index")) == ["a", "b", "c"]


def test_removing_it_removes_its_parts(store: onecopy.Store, shards: Path) -> None:
    store.import_checkpoint(shards)
    store.remove("llama")
    assert store.names() == []


def test_a_part_that_is_missing_is_named(store: onecopy.Store, shards: Path) -> None:
    store.import_checkpoint(shards)
    store.remove(store.names("llama/")[0])
    with pytest.raises(onecopy.EntryNotFound, match="part 'llama/1@"):
        store.load("llama")
    store.import_checkpoint(shards, overwrite=True)
    assert len(store.load("llama")) == 3


def test_importing_a_changed_checkpoint_replaces_only_what_changed(
    store: onecopy.Store, shards: Path
) -> None:
    store.import_checkpoint(shards)
    before = store.names()
    with pytest.raises(onecopy.EntryExists):
        store.import_checkpoint(shards)
    save_file({"c": torch.zeros(5)}, shards / "new")
    (shards / "new").replace(shards / "2.safetensors")
    assert store.load("llama")["c"].sum() == 10
    store.import_checkpoint(shards, overwrite=True)
    assert store.load("llama")["c"].sum() == 0
    assert len(set(before) & set(store.names())) == 2
    assert len(store.names()) == 3


def test_what_was_imported_is_there_after_a_restart(
    file: Path, shards: Path, tmp_path: Path
) -> None:
    save_file({"w": torch.arange(3.0)}, tmp_path / "short.safetensors")
    with onecopy.start("test", dir=tmp_path / "store") as store:
        for path in (file, shards, tmp_path / "short.safetensors"):
            store.import_checkpoint(path)
        store.import_checkpoint(file, "again")
        names = store.names()
    assert onecopy.open(tmp_path / "store").load("model")["scalar"] == 7
    with onecopy.start("test", dir=tmp_path / "store") as store:
        assert store.names() == names
        assert store.load("short")["w"].sum() == 3
        assert store.load("model")["scalar"] == store.load("again")["scalar"] == 7
        assert len(store.load("llama")) == 3
        store.remove("llama")
        assert store.names() == ["again", "model", "short"]
    assert (tmp_path / "model.safetensors").exists()


def test_what_changed_while_the_store_was_down_is_not_there(
    file: Path, runtime: Path, tmp_path: Path
) -> None:
    with onecopy.start("test", dir=tmp_path / "store") as store:
        store.import_checkpoint(file)
    save_file({"other": torch.ones(3)}, file)
    with onecopy.start("test", dir=tmp_path / "store") as store:
        assert store.names() == []
        store.import_checkpoint(file, overwrite=True)
        assert list(store.load("model")) == ["other"]
    with pytest.raises(onecopy.CorruptEntry, match="is not there"):
        file.unlink()
        onecopy.open(tmp_path / "store").load("model")


def test_a_file_that_is_changed_afterwards_is_noticed(store: onecopy.Store, file: Path) -> None:
    store.import_checkpoint(file)
    store.load("model")
    with file.open("r+b") as writing:
        writing.truncate(100)
    for _ in range(2):
        with pytest.raises(onecopy.CorruptEntry, match="was changed"):
            store.load("model")


def test_a_file_that_is_replaced_or_removed_is_still_the_old_one(
    store: onecopy.Store, file: Path
) -> None:
    store.import_checkpoint(file)
    file.unlink()
    assert store.load("model")["scalar"] == 7


def test_a_file_that_changes_meanwhile_is_refused(
    store: onecopy.Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = checkpoint_files.examine

    def slowly(fd: int, size: int) -> checkpoint_files.Imported:
        facts = real(fd, size)
        os.utime(file, ns=(1, 1))
        return facts

    monkeypatch.setattr(checkpoint_files, "examine", slowly)
    with pytest.raises((onecopy.CorruptEntry, onecopy.InvalidArgument)):
        store.import_checkpoint(file)
    assert store.names() == []


def test_tensors_at_odd_addresses_are_copied(store: onecopy.Store, tmp_path: Path) -> None:
    info = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    data = torch.tensor([1.5, -2.0]).numpy().tobytes()
    for padding in range(8):
        fields = {"x": info, "__metadata__": {"p": "p" * padding}}
        path = write(tmp_path / "odd.safetensors", fields, data)
        store.import_checkpoint(path, overwrite=True)
        x = store.load("odd")["x"]
        assert x.tolist() == [1.5, -2.0]
        assert x.data_ptr() % 4 == 0


def test_links_are_followed_when_it_is_imported(
    store: onecopy.Store, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    link = tmp_path / "cache" / "linked.safetensors"
    link.symlink_to(file)
    assert store.import_checkpoint(tmp_path / "cache", "x") == "x"
    link.unlink()
    assert store.load("x")["scalar"] == 7


class TestRefused:
    @pytest.mark.parametrize(
        "weights",
        [
            {"a": "../1.safetensors"},
            {"a": "/etc/passwd"},
            {"a": "missing.safetensors"},
            {"a": ".."},
            {"a": ""},
            {"d": "1.safetensors"},
            {"a": 3},
            {},
            [],
        ],
        ids=str,
    )
    def test_an_index_that_lies(self, store: onecopy.Store, shards: Path, weights: object) -> None:
        write_index(shards, weights)
        with pytest.raises(onecopy.CorruptEntry):
            store.import_checkpoint(shards)
        assert store.names() == []

    def test_the_same_tensor_in_two_files(self, store: onecopy.Store, shards: Path) -> None:
        (shards / "model.safetensors.index.json").unlink()
        save_file({"a": torch.ones(3)}, shards / "3.safetensors")
        with pytest.raises(onecopy.CorruptEntry, match="another file has"):
            store.import_checkpoint(shards)
        assert store.names() == []

    def test_two_indices_in_one_directory(self, store: onecopy.Store, shards: Path) -> None:
        (shards / "other.safetensors.index.json").write_text("{}")
        with pytest.raises(onecopy.InvalidArgument, match="several checkpoints"):
            store.import_checkpoint(shards)

    def test_what_is_no_checkpoint(self, store: onecopy.Store, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(onecopy.InvalidArgument, match="convert the checkpoint"):
            store.import_checkpoint(tmp_path / "empty")
        with pytest.raises(FileNotFoundError):
            store.import_checkpoint(tmp_path / "missing.safetensors")
        os.mkfifo(tmp_path / "fifo.safetensors")
        with pytest.raises(onecopy.InvalidArgument, match="fifo"):
            store.import_checkpoint(tmp_path / "fifo.safetensors")

    def test_a_dtype_that_torch_lacks(self, store: onecopy.Store, tmp_path: Path) -> None:
        info = {"dtype": "F6_E2M3", "shape": [4], "data_offsets": [0, 3]}
        path = write(tmp_path / "x.safetensors", {"x": info}, bytes(3))
        with pytest.raises(onecopy.UnsupportedValue, match="F6_E2M3"):
            store.import_checkpoint(path)
