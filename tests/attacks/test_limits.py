"""Limits: of capacity, memory, descriptors, maps and address space; and races for one name."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import onecopy
from onecopy.segments import mapping, region
from onecopy.store import messages
from tests.attacks.balance import Unchanged, assert_balanced, settled
from tests.attacks.children import forked
from tests.attacks.patience import eventually, rounds
from tests.attacks.raw import RawClient, bytes_spec
from tests.attacks.serving import Daemon, few_files, soft_limit
from tests.conftest import open_files

MIB = 1 << 20
UNIT = MIB // 8


def filled(number: int, nbytes: int) -> bytes:
    return bytes([number]) * nbytes


class TestTwoWritersOfOneName:
    def test_exactly_one_wins(self, store: onecopy.Store) -> None:
        nbytes = [1000, 2 * MIB]
        reader, writer = os.pipe()

        def save(turn: int, number: int) -> Callable[[], None]:
            def work() -> None:
                try:
                    store.save(f"prize/{turn}", filled(number, nbytes[turn % 2]))
                    os.write(writer, bytes([number]))
                except onecopy.EntryExists:
                    pass

            return work

        with Unchanged(store):
            for turn in range(rounds(20)):
                with forked(*[save(turn, number) for number in range(4)]) as children:
                    for child in children:
                        child.wait()
                (winner,) = os.read(reader, 100)
                assert bytes(store.load(f"prize/{turn}")) == filled(winner, nbytes[turn % 2])
            store.remove(store.names())
        os.close(reader)
        os.close(writer)

    def test_with_overwrite_all_succeed_and_the_last_is_whole(self, store: onecopy.Store) -> None:
        nbytes = 2 * MIB

        def save(number: int) -> Callable[[], None]:
            def work() -> None:
                for _ in range(5):
                    store.save("prize", filled(number, nbytes), overwrite=True)

            return work

        with Unchanged(store):
            with forked(*[save(number) for number in range(3)]) as children:
                for child in children:
                    child.wait()
            value = bytes(store.load("prize"))
            assert value in [filled(number, nbytes) for number in range(3)]
            assert store.names() == ["prize"]


class TestCapacity:
    """A store of 256 units; entries are a little larger than their data."""

    @pytest.fixture
    def store(self, direct: bool) -> Iterator[onecopy.Store]:
        with onecopy.start("test", capacity=256 * UNIT, direct=direct) as store:
            yield store

    def test_the_least_recently_used_go_first(self, store: onecopy.Store) -> None:
        for number in range(6):
            store.save(str(number), bytes(40 * UNIT))
        for name in ("0", "1"):
            store.load(name)
        store.save("6", bytes(40 * UNIT))
        assert store.names() == ["0", "1", "3", "4", "5", "6"]
        store.save("7", bytes(60 * UNIT))
        assert store.names() == ["0", "1", "5", "6", "7"]
        assert store.stats().evicted == 3

    def test_what_is_pinned_or_in_use_stays(self, store: onecopy.Store) -> None:
        store.save("pinned", bytes(40 * UNIT), pin=True)
        store.save("used", bytes(40 * UNIT))
        held = store.load("used")
        for number in range(20):
            store.save(str(number), bytes(40 * UNIT))
        assert {"pinned", "used"} <= set(store.names())
        assert len(held) == 40 * UNIT
        del held
        for number in range(5):
            store.save(f"more/{number}", bytes(40 * UNIT))
        assert "used" not in store

    def test_what_was_removed_but_is_in_use_still_counts(self, store: onecopy.Store) -> None:
        store.save("big", bytes(200 * UNIT))
        held = store.load("big")
        store.remove("big")
        with pytest.raises(onecopy.StoreFull, match="removed but is still in use"):
            store.save("other", bytes(100 * UNIT))
        assert store.stats().lingering >= 200 * UNIT
        del held
        store.save("other", bytes(100 * UNIT))
        assert_balanced(store)

    def test_a_save_in_vain_evicts_nothing(self, store: onecopy.Store) -> None:
        store.save("used", bytes(150 * UNIT))
        held = store.load("used")
        names = [f"idle/{number}" for number in range(4)]
        for name in names:
            store.save(name, bytes(20 * UNIT))
        before = store.stats()
        for nbytes in (120 * UNIT, 300 * UNIT):
            with pytest.raises(onecopy.StoreFull):
                store.save("too much", bytes(nbytes))
            with pytest.raises(onecopy.StoreFull):
                store.save("idle/0", bytes(nbytes), overwrite=True)
        assert store.names() == sorted([*names, "used"])
        after = store.stats()
        assert (after.used, after.evicted, after.reserved) == (before.used, 0, 0)
        assert len(held) == 150 * UNIT

    def test_many_writers_at_the_limit_never_pass_it(self, store: onecopy.Store) -> None:
        def save() -> None:
            for number in range(30):
                try:
                    store.save(f"{os.getpid()}/{number}", bytes(30 * UNIT))
                except onecopy.StoreFull:
                    pass
                stats = store.stats()
                assert stats.used <= stats.capacity

        with Unchanged(store):
            with forked(save, save, save) as children:
                for child in children:
                    child.wait()
            assert store.stats().evicted > 0

    def test_a_reader_keeps_what_is_evicted_under_it_or_does_not_get_it(
        self, store: onecopy.Store
    ) -> None:
        def read() -> None:
            while True:
                for name in store.names():
                    try:
                        value = np.frombuffer(store.load(name), "u1")
                    except onecopy.EntryNotFound:
                        continue
                    assert (value == int(name) % 256).all()

        with Unchanged(store), forked(read, read) as readers:
            for number in range(rounds(100)):
                try:
                    store.save(str(number), filled(number % 256, 20 * UNIT), overwrite=True)
                except onecopy.StoreFull:
                    pass
            assert [reader.report() for reader in readers] == ["", ""]
        assert store.stats().evicted > 0


class TestMemory:
    @pytest.mark.parametrize(
        "value", [bytes(8 * MIB), np.zeros((1024, 8192), "u1")[:, ::2]], ids=["plain", "gathered"]
    )
    def test_memory_that_is_refused_changes_nothing(
        self, store: onecopy.Store, value: object
    ) -> None:
        store.save("old", b"1")

        def save() -> None:
            with soft_limit(resource.RLIMIT_FSIZE, 2 * MIB):
                for overwrite in (False, True):
                    with pytest.raises(onecopy.StoreFull, match="memory"):
                        store.save("old" if overwrite else "new", value, overwrite=overwrite)
                assert store.stats().reserved == 0
                store.save("small", b"2")

        with Unchanged(store):
            with forked(save) as (child,):
                child.wait()
            assert store.names() == ["old", "small"]
            assert bytes(store.load("old")) == b"1"

    def test_an_entry_larger_than_memory_is_read_page_by_page(self, store: onecopy.Store) -> None:
        """It is sparse: only what is touched takes memory."""
        ram = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        nbytes = 4 * ram
        spec = bytes_spec(nbytes)
        fd = region.create("sparse")
        try:
            start = 4096
            region.write(fd, [b"first"], start)
            region.write(fd, [b"last!", spec], start + nbytes - 5)
            region.seal(fd)
            save = messages.Save(
                "huge", start + nbytes + len(spec), start, start + nbytes, len(spec), nbytes, b""
            )
            with RawClient() as raw:
                assert isinstance(raw.ask(save, [fd]), messages.Done)
            before = os.fstat(fd).st_blocks
            for mode in ("private", "readonly", "private"):
                value = store.load("huge", mode=mode)
                assert len(value) == nbytes
                assert (bytes(value[:5]), bytes(value[-5:])) == (b"first", b"last!")
                if mode == "private":
                    value[1 << 30] = 7
                    assert value[1 << 30] == 7
            assert os.fstat(fd).st_blocks <= before + 8 * 32
            assert store.stat("huge").nbytes == nbytes
        finally:
            os.close(fd)


class TestDescriptors:
    def test_a_client_at_its_limit_is_told(self, store: onecopy.Store) -> None:
        """One after another, each number of free descriptors: whatever fails, fails typed."""
        store.save("entry", b"bytes")
        store.save("mutable", b"bytes", mutable=True)

        def work() -> None:
            uses = [
                lambda: store.save("new", b"1", overwrite=True),
                lambda: store.save("large", bytes(2 * MIB), overwrite=True),
                lambda: store.load("entry"),
                lambda: store.load("entry", mode="readonly"),
                lambda: store.load("mutable"),
                lambda: store.lock("lock", timeout=0).__enter__().release(),
                lambda: store.watch().close(),
                lambda: store.names(),
                lambda: store.stat("entry"),
            ]
            free = os.dup(0)
            os.close(free)
            refused = 0
            for connected in (True, False):
                for spare in range(8):
                    if not connected:
                        store._connection.drop()
                    with soft_limit(resource.RLIMIT_NOFILE, free + spare):
                        for use in uses:
                            try:
                                use()
                            except onecopy.LimitReached:
                                refused += 1
            assert refused
            for use in uses:
                use()

        with Unchanged(store):
            with forked(work) as (child,):
                child.wait()
            store.remove(["new", "large"])

    def test_loads_keep_no_descriptor(self, store: onecopy.Store) -> None:
        store.save("entry", b"bytes")
        store.load("entry")
        before = open_files()
        kept = [store.load("entry") for _ in range(300)]
        assert open_files() <= before
        del kept

    def test_a_daemon_at_its_limit_refuses_saves_and_goes_on(
        self, runtime: Path, direct: bool
    ) -> None:
        with (
            few_files(160),
            Daemon(runtime),
            onecopy.connect("test", timeout=60, direct=direct) as store,
        ):
            number = 0
            with pytest.raises(onecopy.LimitReached, match="descriptor"):
                for number in range(1000):
                    store.save(str(number), number.to_bytes(2, "little"))
            assert number > 20
            evicted = store.stats().evicted
            for _ in range(20):
                with pytest.raises(onecopy.LimitReached):
                    store.save("more", b"1")
                with pytest.raises(onecopy.LimitReached):
                    store.save("much more", bytes(2 * MIB))
                with pytest.raises(onecopy.LimitReached):
                    store.save("0", b"1", overwrite=True)
            assert store.stats().evicted == evicted
            names = sorted(map(str, range(number)))
            assert store.names() == names
            for name, value in zip(names, store.load(names), strict=True):
                assert int.from_bytes(value, "little") == int(name)
            del value
            with store.lock("still"), onecopy.connect("test", timeout=60) as other:
                assert other.names() == names
            store.remove(["0", "1"])
            eventually(lambda: settled(store))
            store.save("more", b"1")
            assert bytes(store.load("more")) == b"1"

    def test_a_daemon_without_descriptors_for_connections_serves_those_it_has(
        self, runtime: Path
    ) -> None:
        with few_files(100), Daemon(runtime), onecopy.connect("test", timeout=60) as store:
            store.save("entry", b"bytes")
            clients = []
            try:
                for _ in range(150):
                    clients.append(RawClient(hello=False))
                assert store.stat("entry").nbytes == 5
                assert bytes(store.load("entry")) == b"bytes"
                with pytest.raises(onecopy.LimitReached):
                    store.save("more", b"1")
            finally:
                for client in clients:
                    client.close()
            eventually(lambda: store.stats().clients < 5)
            store.save("more", b"1")
            with onecopy.connect("test", timeout=60) as other:
                assert other.names() == ["entry", "more"]

    def test_a_growing_index_that_finds_no_descriptor_changes_nothing(self, runtime: Path) -> None:
        """1024 names fill the first index; the next one needs descriptors for a second."""
        with few_files(2000), Daemon(runtime), onecopy.connect("test", timeout=60) as store:
            clients = []
            try:
                for number in range(1024):
                    store.save(str(number), b"1")
                with soft_limit(
                    resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
                ):
                    try:
                        for _ in range(1100):
                            clients.append(RawClient(hello=False))
                        for _ in range(3):
                            with pytest.raises(onecopy.LimitReached):
                                store.save("one more", b"1")
                        assert len(store.names()) == 1024
                        assert "one more" not in store
                    finally:
                        for client in clients:
                            client.close()
                eventually(lambda: store.stats().clients < 5)
                store.save("one more", b"1")
                assert len(store.names()) == 1025
                store.remove(store.names()[:500])
            finally:
                pass


class TestMaps:
    def test_too_many_maps_are_a_typed_error(
        self, store: onecopy.Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The real limit is 65,530; an address space that is used up gives the same error."""
        store.save("entry", bytes(64 * MIB))

        def work() -> None:
            size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            kept = []
            with soft_limit(resource.RLIMIT_AS, size + 512 * MIB):
                with pytest.raises(onecopy.LimitReached, match="map"):
                    for _ in range(100):
                        kept.append(store.load("entry"))
                assert len(kept) > 2
                kept.clear()
                assert len(store.load("entry")) == 64 * MIB

        with Unchanged(store), forked(work) as (child,):
            child.wait()

    def test_a_map_of_absurd_size_is_a_typed_error(self) -> None:
        fd = region.create("small", 4096)
        for mode in mapping.MODES:
            with pytest.raises(onecopy.LimitReached):
                mapping.map_fd(fd, 1 << 60, mode)
        os.close(fd)
