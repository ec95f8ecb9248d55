"""Snapshots: written at once, opened without a daemon."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import onecopy
from onecopy.errors import AccessDenied, InvalidArgument
from onecopy.segments import checksum, files, region
from onecopy.store import messages
from tests.attacks.children import forked
from tests.attacks.raw import RawClient
from tests.attacks.stepping import kill_at
from tests.conftest import open_files
from tests.store.test_apart import PAGE, Arena, spec


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[onecopy.Store]:
    """A store in memory, and one in a directory."""
    folder = tmp_path / "store" if request.param == "directory" else None
    with onecopy.start("test", capacity="256MiB", dir=folder) as store:
        yield store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "snapshot"


def values() -> dict[str, Any]:
    tied = torch.arange(5.0)
    return {
        "tree": {"a": [tied, tied[1:]], "n": 2**70, "bytes": b"abc", "array": np.eye(2)},
        "runs/ü": torch.arange(100_000.0),
        "empty": {},
        "many": {f"key {i}": torch.tensor(i) for i in range(100)},
    }


def fill(store: onecopy.Store) -> None:
    for name, value in values().items():
        store.save(name, value, ttl=1000, pin=True)


def test_a_snapshot_has_what_the_store_has(store: onecopy.Store, path: Path) -> None:
    fill(store)
    store.snapshot(path)
    store.close()
    with onecopy.open(path) as snapshot:
        assert snapshot.names() == sorted(values())
        assert snapshot.names("runs/") == ["runs/ü"]
        tree = snapshot.load("tree")
        tree["a"][0][1] = 7
        assert (tree["a"][1][0], tree["n"], bytes(tree["bytes"])) == (7, 2**70, b"abc")
        assert snapshot.load("tree")["a"][1][0] == 1
        assert torch.equal(snapshot.load("runs/ü"), torch.arange(100_000.0))
        assert snapshot.load(["empty", "many"])[1]["key 99"] == 99


def test_facts_are_kept(store: onecopy.Store, path: Path) -> None:
    fill(store)
    before = store.stat("tree")
    store.snapshot(path)
    after = onecopy.open(path).stat("tree")
    assert (after.name, after.nbytes, after.ttl, after.pinned) == (
        "tree",
        before.nbytes,
        1000,
        True,
    )
    assert abs(after.created - before.created) < 1
    assert onecopy.open(path).stat(["tree", "missing"])[1] is None


def test_its_files_are_safetensors_files_with_checksums(store: onecopy.Store, path: Path) -> None:
    fill(store)
    store.snapshot(path)
    for file in path.glob("*.safetensors"):
        fd = os.open(file, os.O_RDONLY)
        assert checksum.verify(fd, file.stat().st_size)
        os.close(fd)
        assert load_file(file)
        assert file.stat().st_mode & 0o222 == 0


def test_a_store_can_be_started_on_a_copy_without_its_manifest(
    store: onecopy.Store, path: Path
) -> None:
    fill(store)
    store.snapshot(path)
    (path / "onecopy.json").unlink()
    with onecopy.start("other", dir=path) as other:
        assert other.names() == sorted(values())
        assert other.load("many")["key 7"] == 7


def test_some_entries_can_be_chosen(store: onecopy.Store, path: Path) -> None:
    fill(store)
    store.snapshot(path, ["tree", "empty"])
    assert onecopy.open(path).names() == ["empty", "tree"]
    with pytest.raises(onecopy.EntryNotFound):
        store.snapshot(path.with_name("other"), ["tree", "missing"])
    assert not path.with_name("other").exists()


def test_one_entry_is_one_file(store: onecopy.Store, path: Path) -> None:
    fill(store)
    store.snapshot(path, "runs/ü")
    assert torch.equal(load_file(path)["value"], torch.arange(100_000.0))
    snapshot = onecopy.open(path)
    assert snapshot.names() == ["runs/ü"]
    assert torch.equal(snapshot.load("runs/ü"), torch.arange(100_000.0))
    with pytest.raises(onecopy.EntryNotFound, match="it has 'runs/ü'"):
        snapshot.load("tree")


def test_a_path_that_is_taken_needs_overwrite(store: onecopy.Store, path: Path) -> None:
    fill(store)
    store.snapshot(path, ["tree"])
    with pytest.raises(onecopy.EntryExists):
        store.snapshot(path)
    held = onecopy.open(path)
    store.snapshot(path, ["many"], overwrite=True)
    assert onecopy.open(path).names() == ["many"]
    assert held.names() == ["tree"]
    assert sorted(each.name for each in path.parent.iterdir() if "part" in each.name) == []


def test_a_folder_that_is_not_there_is_named_and_not_the_hidden_file_in_it(
    store: onecopy.Store, path: Path
) -> None:
    fill(store)
    for names in (None, "tree"):
        with pytest.raises(InvalidArgument, match=f"{path / 'no'} is no folder"):
            store.snapshot(path / "no" / "such", names)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a folder that it cannot write to")
def test_a_folder_that_cannot_be_written_to_is_named(store: onecopy.Store) -> None:
    with pytest.raises(AccessDenied, match="/sys cannot be written to"):
        store.snapshot("/sys/models")


def test_what_is_no_snapshot_is_never_overwritten(store: onecopy.Store, path: Path) -> None:
    path.mkdir()
    (path / "precious").write_bytes(b"data")
    with pytest.raises(onecopy.InvalidArgument, match="left alone"):
        store.snapshot(path, overwrite=True)
    with pytest.raises(onecopy.InvalidArgument, match="is a folder"):
        store.snapshot(path, "x", overwrite=True)
    assert (path / "precious").read_bytes() == b"data"


def test_a_failure_leaves_nothing(
    store: onecopy.Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)
    before, beside = open_files(), sorted(path.parent.iterdir())

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "copy", fail)
    for names in (None, "tree"):
        with pytest.raises(onecopy.StoreFull, match="disk is full"):
            store.snapshot(path, names)
    assert sorted(path.parent.iterdir()) == beside
    assert open_files() <= before


def test_alignment_survives(store: onecopy.Store, path: Path) -> None:
    store.save("x", [torch.ones(3), torch.ones(5)], align=4096)
    store.snapshot(path)
    for tensor in onecopy.open(path).load("x"):
        assert tensor.data_ptr() % 4096 == 0


def test_a_mutable_entry_is_copied_as_it_is(tmp_path: Path) -> None:
    with onecopy.start("memory", capacity="64MiB") as store:
        store.save("x", torch.zeros(3), mutable=True)
        store.load("x")[0] = 7
        store.snapshot(tmp_path / "s")
    assert onecopy.open(tmp_path / "s").load("x")[0] == 7


def test_of_an_arena_only_the_entrys_own_bytes_are_written(tmp_path: Path) -> None:
    with onecopy.start("test", capacity="64MiB") as store:
        arena = Arena()
        assert not arena.save("a", spec((PAGE, PAGE), (9 * PAGE, 10)))
        store.snapshot(tmp_path / "all")
        store.snapshot(tmp_path / "one", "a")
        os.close(arena.fd)
    for path in (tmp_path / "all" / "a.safetensors", tmp_path / "one"):
        assert path.stat().st_size < 2 * PAGE
        tensors = load_file(path)
        assert bytes(tensors["0"].numpy()) == b"\1" * PAGE
        assert onecopy.open(path).load("a")[1] == b"\t" * 10


class TestReading:
    @pytest.fixture
    def snapshot(self, path: Path) -> Iterator[onecopy.Snapshot]:
        with onecopy.start("test", capacity="64MiB") as store:
            store.save("x", torch.arange(3.0))
            store.save("y", np.arange(3))
            store.snapshot(path)
        with onecopy.open(path) as snapshot:
            yield snapshot

    def test_it_knows_what_it_has(self, snapshot: onecopy.Snapshot) -> None:
        assert "x" in snapshot
        assert snapshot.contains("y")
        assert "z" not in snapshot
        assert 3 not in snapshot
        with pytest.raises(onecopy.EntryNotFound, match="no entry 'z'"):
            snapshot.load("z")
        with pytest.raises(onecopy.EntryNotFound):
            snapshot.stat("z")

    def test_a_readonly_array_cannot_be_written(self, snapshot: onecopy.Snapshot) -> None:
        with pytest.raises(ValueError, match="read-only"):
            snapshot.load("y", mode="readonly")[0] = 1

    @pytest.mark.parametrize("mode", ["shared", "nonsense"])
    def test_other_modes_are_refused(self, snapshot: onecopy.Snapshot, mode: Any) -> None:
        with pytest.raises(onecopy.InvalidArgument):
            snapshot.load("x", mode=mode)

    def test_tensors_outlive_it_and_use_after_close_says_so(
        self, snapshot: onecopy.Snapshot
    ) -> None:
        x = snapshot.load("x")
        snapshot.close()
        snapshot.close()
        assert x.sum() == 3
        with pytest.raises(onecopy.StoreClosed):
            snapshot.load("x")
        assert "closed" in repr(snapshot)

    def test_it_pickles_and_works_after_a_fork(self, snapshot: onecopy.Snapshot) -> None:
        assert pickle.loads(pickle.dumps(snapshot)).load("x").sum() == 3

        def work() -> None:
            assert snapshot.load("x").sum() == 3

        with forked(work) as (child,):
            child.wait()

    def test_it_keeps_no_descriptor_of_what_was_loaded(self, snapshot: onecopy.Snapshot) -> None:
        before = open_files()
        held = [snapshot.load("x") for _ in range(10)]
        assert open_files() == before
        assert len(held) == 10

    def test_half_a_copy_is_refused(self, snapshot: onecopy.Snapshot, path: Path) -> None:
        os.truncate(path / "x.safetensors", 100)
        with pytest.raises(onecopy.CorruptEntry, match="half a snapshot"):
            onecopy.open(path)
        (path / "x.safetensors").unlink()
        with pytest.raises(onecopy.CorruptEntry, match="is missing"):
            onecopy.open(path)

    @pytest.mark.parametrize(
        "text", ["", "[]", '{"entries": {"": 1}}', '{"entries": {"x": 1}, "onecopy": "2"}', "\xff"]
    )
    def test_a_strange_manifest_is_refused(
        self, snapshot: onecopy.Snapshot, path: Path, text: str
    ) -> None:
        (path / "onecopy.json").write_bytes(text.encode("latin1"))
        with pytest.raises((onecopy.CorruptEntry, onecopy.InvalidArgument)):
            onecopy.open(path)

    def test_a_file_under_anothers_name_is_refused(
        self, snapshot: onecopy.Snapshot, path: Path
    ) -> None:
        data = (path / "y.safetensors").read_bytes()
        (path / "x.safetensors").unlink()
        (path / "x.safetensors").write_bytes(data)
        with pytest.raises(onecopy.CorruptEntry, match="another entry"):
            snapshot.load("x")


def test_the_directory_of_a_store_can_be_opened_while_its_daemon_is_up_or_down(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "store"
    with onecopy.start("test", dir=folder) as store, onecopy.open(folder) as snapshot:
        assert snapshot.names() == []
        store.save("x", torch.ones(3))
        assert snapshot.load("x").sum() == 3
        store.save("x", torch.zeros(3), overwrite=True)
        assert snapshot.load("x").sum() == 0
        (folder / "stranger.safetensors").write_bytes(b"x" * 100)
        assert snapshot.names() == ["x"]
        assert "stranger" not in snapshot
        store.save("y", torch.ones(3))
        store.remove("x")
        assert "x" not in snapshot
    assert onecopy.open(folder).names() == ["y"]


def test_a_checkpoint_of_others_opens_as_one_entry(tmp_path: Path) -> None:
    save_file({"w": torch.ones(3)}, tmp_path / "model.safetensors")
    with onecopy.open(tmp_path / "model.safetensors") as snapshot:
        assert snapshot.names() == ["model"]
        assert snapshot.load("model", mode="readonly")["w"].sum() == 3
        assert snapshot.stat("model").nbytes > 12
        assert "model" in snapshot


def test_what_is_no_snapshot_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(onecopy.InvalidArgument, match="snapshot"):
            onecopy.open(path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(onecopy.InvalidArgument):
        onecopy.open(tmp_path / "fifo")
    (tmp_path / "text").write_bytes(b"some text, long enough")
    with pytest.raises(onecopy.CorruptEntry):
        onecopy.open(tmp_path / "text")


def test_an_entry_that_goes_meanwhile_is_left_out(tmp_path: Path) -> None:
    with onecopy.start("test", capacity="64MiB") as store:
        for name in "abc":
            store.save(name, bytes(1000))

        def remove(_: int) -> None:
            if "c" in store:
                store.remove("c")

        store.snapshot(tmp_path / "s", progress=remove)
    assert onecopy.open(tmp_path / "s").names() == ["a", "b"]


def test_a_hostile_segment_is_an_error_and_no_snapshot(tmp_path: Path) -> None:
    with onecopy.start("test", capacity="64MiB") as store, RawClient() as raw:
        fd = region.create("hostile")
        region.write(fd, [b"\xff" * 500])
        region.seal(fd)
        message = messages.Save("x", 500, 64, 400, 100, 300, b"")
        assert isinstance(raw.ask(message, [fd]), messages.Done)
        os.close(fd)
        with pytest.raises(onecopy.CorruptEntry):
            store.snapshot(tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("names", [None, "x"])
def test_killed_at_any_step_there_is_a_whole_snapshot_or_none(
    tmp_path: Path, names: str | None
) -> None:
    with onecopy.start("test", capacity="64MiB") as store:
        store.save("x", torch.arange(1000.0))
        steps, done = 0, False
        while not done:
            steps += 1
            path = tmp_path / str(steps)
            done = _snapshot_in_child(steps, path, names)
            if path.exists():
                assert torch.equal(onecopy.open(path).load("x"), torch.arange(1000.0))
            assert path.exists() or not done
    assert steps > 10


def _snapshot_in_child(step: int, path: Path, names: str | None) -> bool:
    def work() -> None:
        with onecopy.connect("test") as store:
            kill_at(step, lambda code: code.co_name == "snapshot")
            store.snapshot(path, names)

    with forked(work) as (child,):
        try:
            child.wait()
        except AssertionError as error:
            assert str(error) == f"status {-signal.SIGKILL}"  # noqa: PT017  # or it is a bug
            return False
        return True
