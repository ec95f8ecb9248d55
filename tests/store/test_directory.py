"""Stores whose entries are files: what is the same as in memory, and what outlives the daemon."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import onecopy
from onecopy.segments import trailer
from onecopy.store.daemon.config import Config
from onecopy.store.filenames import file_name
from tests.attacks.children import forked
from tests.attacks.patience import eventually
from tests.attacks.serving import Daemon
from tests.conftest import open_files

Start = Callable[..., onecopy.Store]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the entries go; the store makes it."""
    return tmp_path / "deep" / "folder"


@pytest.fixture
def start(folder: Path, direct: bool) -> Start:
    """Start a store on the folder, again and again."""
    return lambda **options: onecopy.start("test", dir=folder, direct=direct, **options)


@pytest.fixture
def store(start: Start) -> Iterator[onecopy.Store]:
    with start() as store:
        yield store


def files(folder: Path) -> list[str]:
    """The files of entries, and whatever else is there but the lock."""
    return sorted(each.name for each in folder.iterdir() if each.name != ".onecopy-lock")


def test_entries_are_there_again_after_a_restart(start: Start) -> None:
    tied = np.arange(5)
    with start() as store:
        store.save("tree", {"a": [tied, tied[1:]], "n": 2**70, "bytes": b"abc"})
        store.save("long spec", {f"key {i}": torch.tensor(i) for i in range(100)})
    with start() as store:
        assert store.names() == ["long spec", "tree"]
        for _ in range(3):
            tree = store.load("tree")
            tree["a"][0][1] = 7
            assert (tree["a"][1][0], tree["n"], bytes(tree["bytes"])) == (7, 2**70, b"abc")
        assert store.load("long spec")["key 99"] == 99


def test_facts_are_kept(start: Start) -> None:
    with start() as store:
        store.save("x", b"four", ttl=1000, pin=True)
        before = store.stat("x")
    with start() as store:
        after = store.stat("x")
    assert (after.nbytes, after.resident) == (before.nbytes, before.resident)
    assert (after.ttl, after.pinned, after.hits) == (1000, True, 0)
    assert abs(after.created - before.created) < 1


def test_a_file_is_a_safetensors_file_that_is_read_only(store: onecopy.Store, folder: Path) -> None:
    store.save("runs/1", {"w": torch.arange(10.0)})
    path = folder / "runs%2F1.safetensors"
    assert files(folder) == [path.name]
    assert torch.equal(load_file(path)["w"], torch.arange(10.0))
    assert path.stat().st_mode & 0o222 == 0


def test_names_of_all_kinds_come_back(start: Start) -> None:
    names = [".hidden", "ü/%2F~", "a" * 255, "ü" * 127, "onecopy.json", "A", "a", "\n"]
    with start() as store:
        for name in names:
            store.save(name, name.encode())
    with start() as store:
        assert store.names() == sorted(names)
        assert all(bytes(store.load(name)) == name.encode() for name in names)


def test_overwriting_replaces_the_file_at_once(start: Start, folder: Path) -> None:
    with start() as store:
        store.save("x", torch.zeros(3))
        held = store.load("x")
        store.save("x", torch.ones(3), overwrite=True)
        assert held.sum() == 0
        assert store.load("x").sum() == 3
        assert files(folder) == ["x.safetensors"]
        with pytest.raises(onecopy.EntryExists):
            store.save("x", torch.zeros(3))
    with start() as store:
        assert store.load("x").sum() == 3


def test_removing_removes_the_file_and_holders_keep_it(start: Start, folder: Path) -> None:
    with start() as store:
        store.save("x", torch.ones(3))
        held = store.load("x")
        store.remove("x")
        assert files(folder) == []
        assert held.sum() == 3
        assert store.stats().lingering > 0
        del held
        eventually(lambda: store.stats().used == 0)
    with start() as store:
        assert store.names() == []


def test_mutable_entries_are_refused(store: onecopy.Store, folder: Path) -> None:
    with pytest.raises(onecopy.InvalidArgument, match="store in memory"):
        store.save("x", torch.ones(3), mutable=True)
    assert files(folder) == []


def test_views_that_skip_memory_are_stored_compact(start: Start) -> None:
    with start() as store:
        store.save("x", torch.arange(1000.0)[::10])
        assert store.stat("x").nbytes == 400
    with start() as store:
        assert torch.equal(store.load("x"), torch.arange(1000.0)[::10])


def test_a_failed_save_leaves_nothing(store: onecopy.Store, folder: Path) -> None:
    def fail(_: int) -> None:
        raise RuntimeError("stop")

    ours, theirs = open_files(), open_files(store.pid)
    with pytest.raises(RuntimeError, match="stop"):
        store.save("x", torch.ones(1000), progress=fail)
    assert store.names() == files(folder) == []
    eventually(lambda: (open_files(), open_files(store.pid)) <= (ours, theirs))
    eventually(lambda: store.stats().used == 0)
    store.save("x", torch.ones(1000))


def test_a_forked_child_saves_files_too(store: onecopy.Store) -> None:
    with forked(lambda: store.save("x", b"of the child")) as (child,):
        child.wait()
    assert bytes(store.load("x")) == b"of the child"


def test_a_file_that_is_changed_under_a_store_is_noticed(
    store: onecopy.Store, folder: Path
) -> None:
    store.save("x", torch.ones(1000))
    assert store.load("x").sum() == store.load("x").sum() == 1000
    path = folder / "x.safetensors"
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.write(b"x")
    os.utime(path, ns=(1, 1))
    for _ in range(2):
        with pytest.raises(onecopy.CorruptEntry, match="was changed"):
            store.load("x")


def test_waiters_and_watchers_hear_of_files_too(store: onecopy.Store, direct: bool) -> None:
    with (
        onecopy.connect("test", direct=direct) as client,
        client.watch(timeout=5) as watch,
    ):
        store.save("x", torch.ones(3))
        assert client.load("x", timeout=5).sum() == 3
        assert next(watch).kind == "saved"
        store.remove("x")
        assert next(watch).kind == "removed"


def test_a_ttl_starts_anew_with_the_store(start: Start, folder: Path) -> None:
    with start() as store:
        store.save("x", torch.ones(3), ttl=0.2)
    time.sleep(0.3)
    with start() as store:
        held = store.load("x")
        eventually(lambda: store.stat("x").in_use)
        del held
        eventually(lambda: "x" not in store)
        assert files(folder) == []


class TestCapacity:
    def test_it_counts_bytes_on_the_disk(self, store: onecopy.Store, folder: Path) -> None:
        store.save("x", torch.ones(100_000))
        blocks = (folder / "x.safetensors").stat().st_blocks
        assert store.stats().used == store.stat("x").resident == blocks * 512

    def test_the_oldest_files_go_first_also_after_a_restart(
        self, start: Start, folder: Path
    ) -> None:
        with start(capacity="1MiB") as store:
            for name in "cab":
                store.save(name, bytes(300_000))
        with start(capacity="1MiB") as store:
            store.save("d", bytes(300_000))
            assert store.names() == ["a", "b", "d"]
            assert files(folder) == [file_name(key) for key in (b"a", b"b", b"d")]

    def test_a_smaller_one_evicts_nothing_until_something_is_saved(self, start: Start) -> None:
        with start() as store:
            for name in "abc":
                store.save(name, bytes(300_000))
        with start(capacity="700KB") as store:
            assert store.names() == ["a", "b", "c"]
            store.save("d", bytes(300_000))
            assert store.names() == ["c", "d"]

    def test_entries_in_use_and_pinned_ones_stay(self, start: Start) -> None:
        with start(capacity="1MiB") as store:
            store.save("pinned", bytes(300_000), pin=True)
            store.save("used", bytes(300_000))
            store.save("free", bytes(300_000))
            held = store.load("used")
            store.save("x", bytes(300_000))
            assert store.names() == ["pinned", "used", "x"]
            with pytest.raises(onecopy.StoreFull):
                store.save("y", bytes(600_000))
            assert len(held) == 300_000

    def test_by_default_it_is_the_file_systems(self, store: onecopy.Store, folder: Path) -> None:
        facts = os.statvfs(folder)
        assert store.stats().capacity == facts.f_blocks * facts.f_frsize


class TestDirectory:
    def test_two_stores_never_serve_one(self, store: onecopy.Store, folder: Path) -> None:
        with pytest.raises(onecopy.StoreRunning, match="another store serves"):
            onecopy.start("other", dir=folder)

    def test_a_dead_daemon_does_not_keep_it(self, runtime: Path, folder: Path) -> None:
        with Daemon(runtime, directory=str(folder)) as daemon, onecopy.connect("test") as store:
            store.save("x", b"kept")
            daemon.restart()
            assert bytes(store.load("x", timeout=10)) == b"kept"

    def test_a_file_is_no_directory(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(onecopy.InvalidArgument, match="not a directory"):
            onecopy.start("test", dir=tmp_path / "file")

    def test_a_snapshot_is_not_served(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "onecopy.json").write_text("{}")
        with pytest.raises(onecopy.InvalidArgument, match="is a snapshot"):
            onecopy.start("test", dir=folder)

    def test_what_is_no_entry_is_left_alone_and_logged(
        self, runtime: Path, folder: Path, tmp_path: Path
    ) -> None:
        with Daemon(runtime, directory=str(folder)) as daemon, onecopy.connect("test") as store:
            store.save("x", torch.ones(100))
            daemon.kill()
            strange = plant_strangers(folder, tmp_path)
            daemon.start()
            assert store.names() == ["x"]
            log = (runtime / "test" / "log").read_text()
        assert all(name in log for name in strange)
        assert set(strange) < set(files(folder))

    def test_our_temporary_files_are_removed_and_no_others(
        self, start: Start, folder: Path
    ) -> None:
        folder.mkdir(parents=True)
        ours, others = ".onecopy-0123456789abcdef.part", ".onecopy-model.part"
        for name in (ours, others):
            (folder / name).write_bytes(b"")
        (folder / ".onecopy-ffffffffffffffff.part").mkdir()
        with start():
            assert files(folder) == [".onecopy-ffffffffffffffff.part", others]

    def test_a_stranger_under_an_entrys_name_is_replaced_only_on_demand(
        self, store: onecopy.Store, folder: Path
    ) -> None:
        (folder / "x.safetensors").write_bytes(b"precious")
        with pytest.raises(onecopy.EntryExists, match="in the way"):
            store.save("x", b"new")
        assert (folder / "x.safetensors").read_bytes() == b"precious"
        store.save("x", b"new", overwrite=True)
        assert bytes(store.load("x")) == b"new"

    def test_a_file_that_took_an_entrys_place_is_not_removed(
        self, store: onecopy.Store, folder: Path
    ) -> None:
        store.save("x", b"old")
        (folder / "other").write_bytes(b"precious")
        (folder / "other").replace(folder / "x.safetensors")
        store.remove("x")
        assert (folder / "x.safetensors").read_bytes() == b"precious"

    def test_without_nameless_files_it_works_too(
        self, runtime: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("onecopy.store.launch.command", without_tmpfile)
        with Daemon(runtime, directory=str(folder)), onecopy.connect("test") as store:
            store.save("x", b"old")
            store.save("x", b"new", overwrite=True)
            with pytest.raises(onecopy.EntryExists):
                store.save("x", b"newer")
            assert bytes(store.load("x")) == b"new"
            with pytest.raises(RuntimeError):
                store.save("y", b"y", progress=_stop)
            eventually(lambda: files(folder) == ["x.safetensors"])


def _stop(_: int) -> None:
    raise RuntimeError


def plant_strangers(folder: Path, elsewhere: Path) -> list[str]:
    """Put what is no entry beside `x`; return the names."""
    good = (folder / "x.safetensors").read_bytes()
    contents = {
        "empty": b"",
        "text": b"hello",
        "cut": good[:-1],
        "longer": good + b"\0",
        "copy": good,
        "flipped": good[:-20] + bytes([good[-20] ^ 1]) + good[-19:],
    }
    for name, content in contents.items():
        (folder / f"{name}.safetensors").write_bytes(content)
    (elsewhere / "real").write_bytes(good)
    (folder / "link.safetensors").symlink_to(elsewhere / "real")
    (folder / "folder.safetensors").mkdir()
    os.mkfifo(folder / "fifo.safetensors")
    names = [*contents, "link", "folder", "fifo"]
    if os.geteuid() == 0:
        foreign = trailer.Trailer(b"foreign", 64, 64, 0, 0, 0).pack(64 + 7 + trailer.FIXED)
        (folder / "foreign.safetensors").write_bytes(bytes(64) + foreign)
        os.chown(folder / "foreign.safetensors", 12345, -1)
        names.append("foreign")
    return [f"{name}.safetensors" for name in names]


def without_tmpfile(config: Config) -> list[str]:
    """The command of a daemon on a file system that knows no O_TMPFILE."""
    program = """
import errno, os, sys
sys.modules.setdefault("typing_extensions", None)
real = os.open
def refuse(path, flags, *rest, **more):
    if flags & os.O_TMPFILE == os.O_TMPFILE:
        raise OSError(errno.EOPNOTSUPP, "no O_TMPFILE")
    return real(path, flags, *rest, **more)
os.open = refuse
from onecopy.store.daemon.config import Config
from onecopy.store.daemon.process import main
sys.exit(main(Config.of_argument(sys.argv[1])))
"""
    return [sys.executable, "-S", "-c", program, config.to_argument()]
