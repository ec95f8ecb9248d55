"""SIGKILL and SIGSTOP of the daemon: readers keep what they have, and nobody reads what was."""

from __future__ import annotations

import itertools
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import onecopy
from tests.attacks.children import Child
from tests.attacks.patience import eventually, rounds
from tests.attacks.serving import Daemon


@pytest.fixture
def daemon(runtime: Path) -> Iterator[Daemon]:
    with Daemon(runtime) as daemon:
        yield daemon


@pytest.fixture
def store(daemon: Daemon, direct: bool) -> Iterator[onecopy.Store]:
    with onecopy.connect("test", timeout=60, direct=direct) as store:
        yield store


def in_background(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Run `work()` in a thread; its result, or its error, will be in the list."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def somebody_waits(store: onecopy.Store) -> bool:
    """Say whether a thread of ours waits: it has a connection, so that we need another."""
    return store.stats().clients == 2


METHODS: dict[str, Callable[[onecopy.Store], object]] = {
    "load": lambda store: store.load("old"),
    "load in time": lambda store: store.load("old", timeout=0.001),
    "load readonly": lambda store: store.load("old", mode="readonly"),
    "load shared": lambda store: store.load("mutable", mode="shared"),
    "load several": lambda store: store.load(["old", "mutable"]),
    "ref": lambda store: store.ref("old").load(),
    "contains": lambda store: store.contains("old"),
    "in": lambda store: "old" in store,
    "names": lambda store: store.names(),
    "remove": lambda store: store.remove("old"),
    "stat": lambda store: store.stat("old"),
    "stats": lambda store: store.stats(),
    "watch": lambda store: store.watch(),
    "save": lambda store: store.save("new", b"1"),
    "save much": lambda store: store.save("new", bytes(2 << 20)),
    "lock": lambda store: store.lock("lock", timeout=0).acquire(),
    "pid": lambda store: store.pid,
}


class TestAfterItsDeath:
    def test_readers_keep_their_tensors(self, daemon: Daemon, store: onecopy.Store) -> None:
        store.save("kept", np.arange(1000))
        store.save("shared", np.arange(1000), mutable=True)
        modes = [store.load("kept"), store.load("kept", mode="readonly"), store.load("shared")]
        daemon.kill()
        for value in modes:
            assert (value == np.arange(1000)).all()

    def test_every_method_says_that_there_is_no_store(
        self, daemon: Daemon, store: onecopy.Store, direct: bool
    ) -> None:
        store.save("old", np.arange(3))
        store.save("mutable", np.arange(3), mutable=True)
        handles = {method: onecopy.connect("test", direct=direct) for method in METHODS}
        held = [
            (handle.load("old", mode="readonly"), handle.load("mutable"))
            for handle in handles.values()
        ]
        daemon.kill()
        for _ in range(2):
            for method, handle in handles.items():
                with pytest.raises(onecopy.StoreUnavailable):
                    METHODS[method](handle)
        daemon.start()
        store.save("old", np.arange(4))
        for handle in handles.values():
            assert len(handle.load("old")) == 4
            handle.close()
        assert all(len(value) == 3 for pair in held for value in pair)

    def test_a_lock_that_was_held_is_lost(self, daemon: Daemon, store: onecopy.Store) -> None:
        first, second = store.lock("a"), store.lock("b")
        first.acquire()
        second.acquire()
        daemon.kill()
        with pytest.raises(onecopy.LockLost):
            first.release()
        daemon.start()
        with pytest.raises(onecopy.LockLost):
            second.release()

    def test_a_stale_release_frees_nobody_elses_lock(
        self, daemon: Daemon, store: onecopy.Store, direct: bool
    ) -> None:
        stale = store.lock("a")
        stale.acquire()
        daemon.restart()
        fresh = store.lock("a")
        fresh.acquire()
        with pytest.raises(onecopy.LockLost):
            stale.release()
        with onecopy.connect("test", direct=direct) as other:
            thread, results = in_background(lambda: other.lock("a", timeout=0).acquire())
            thread.join()
        assert isinstance(results[0], onecopy.WaitTimeout)
        fresh.release()

    def test_those_who_wait_for_a_lock_hear_of_it(
        self, daemon: Daemon, store: onecopy.Store
    ) -> None:
        store.lock("lock").acquire()
        waiting = store.lock("lock", timeout=60)
        thread, results = in_background(waiting.acquire)
        eventually(lambda: somebody_waits(store))
        daemon.kill()
        thread.join()
        assert isinstance(results[0], onecopy.StoreUnavailable)
        assert not waiting.held

    def test_a_watch_ends_with_an_error(self, daemon: Daemon, store: onecopy.Store) -> None:
        with store.watch() as watch:
            store.save("seen", b"1")
            # A save is answered before it is told to watchers; a later request is not.
            store.stats()
            daemon.kill()
            assert next(watch).name == "seen"
            with pytest.raises(onecopy.StoreUnavailable):
                next(watch)
            with pytest.raises(onecopy.StoreClosed):
                next(watch)

    def test_a_save_that_it_dies_in_changes_nothing(
        self, daemon: Daemon, store: onecopy.Store
    ) -> None:
        with pytest.raises(onecopy.StoreUnavailable):
            store.save("large", bytes(2 << 20), progress=lambda _: daemon.kill())
        daemon.start()
        assert store.names() == []

    def test_a_save_goes_to_the_successor_if_there_is_one(
        self, daemon: Daemon, store: onecopy.Store
    ) -> None:
        deaths = iter([daemon.restart])
        store.save("large", bytes(2 << 20), progress=lambda _: next(deaths, lambda: None)())
        assert len(store.load("large")) == 2 << 20
        assert store.stats().reserved == 0


class TestASuccessor:
    def test_answers_with_its_own_entries(self, daemon: Daemon, store: onecopy.Store) -> None:
        for name in ("both", "gone"):
            store.save(name, np.full(100, 1), mutable=True)
        for mode in ("shared", "readonly", "private"):
            store.load("both", mode=mode)
        held = [
            store.load(name, mode=mode)
            for name in ("both", "gone")
            for mode in ("shared", "readonly")
        ]
        daemon.restart()
        with onecopy.connect("test") as other:
            other.save("filler", np.full(100, 3))
            other.save("both", np.full(100, 2), mutable=True)
        for mode in ("shared", "readonly", "private", None):
            assert (store.load("both", mode=mode) == 2).all()
            with pytest.raises(onecopy.EntryNotFound):
                store.load("gone", mode=mode)
        assert store.names() == ["both", "filler"]
        assert "gone" not in store
        assert all((value == 1).all() for value in held)

    def test_takes_over_those_who_wait(
        self, daemon: Daemon, store: onecopy.Store, direct: bool
    ) -> None:
        thread, results = in_background(lambda: bytes(store.load("awaited", timeout=60)))
        eventually(lambda: somebody_waits(store))
        daemon.restart()
        with onecopy.connect("test", direct=direct) as other:
            other.save("awaited", b"here")
            thread.join()
        assert results == [b"here"]

    def test_is_never_mistaken_for_its_predecessor(
        self, daemon: Daemon, store: onecopy.Store, direct: bool
    ) -> None:
        """Readers race with deaths; a load begun after a death never shows what died."""
        epochs = itertools.count(1)
        newest_dead = 0
        done = False
        problems: list[object] = []

        def read(mode: str) -> None:
            count = 0
            with onecopy.connect("test", timeout=60, direct=direct) as reader:
                while not done:
                    dead = newest_dead
                    try:
                        value = reader.load("epoch", mode=mode)
                        if value.min() != value.max() or value[0] <= dead:
                            problems.append((mode, dead, value))
                        count += 1
                    except (onecopy.EntryNotFound, onecopy.StoreUnavailable):
                        pass
                    except Exception as error:
                        problems.append(error)
            if not count:
                problems.append(f"{mode} never read anything")

        with onecopy.connect("test", timeout=60) as writer:
            epoch = next(epochs)
            writer.save("epoch", np.full(2000, epoch), mutable=True)
            threads = [
                in_background(lambda m=mode: read(m))[0]
                for mode in ("private", "readonly", "shared")
            ]
            for _ in range(rounds(5)):
                for _ in range(10):
                    writer.load("epoch")
                    writer.save("more", np.full(100, epoch), overwrite=True)
                daemon.kill()
                newest_dead, epoch = epoch, next(epochs)
                daemon.start()
                writer.save("epoch", np.full(2000, epoch), mutable=True)
                eventually(lambda: writer.stat("epoch").hits > 20)
            done = True
            for thread in threads:
                thread.join()
        assert problems == []


class TestAStoppedDaemon:
    @pytest.mark.parametrize("direct", [True])
    def test_loads_go_on(self, daemon: Daemon, store: onecopy.Store) -> None:
        for number in range(5):
            store.save(str(number), np.full(100, number))
        store.load("0")
        daemon.pause()
        try:
            for number in range(5):
                assert (store.load(str(number)) == number).all()
                assert (store.load(str(number), mode="readonly") == number).all()
            assert store.contains("3")
            assert len(store.names()) == 5
        finally:
            daemon.resume()

    def test_what_was_asked_meanwhile_is_done_afterwards(
        self, daemon: Daemon, store: onecopy.Store
    ) -> None:
        store.save("before", b"1")
        daemon.pause()
        try:
            thread, results = in_background(lambda: store.save("later", b"2"))
        finally:
            daemon.resume()
        thread.join()
        assert results == [None]
        assert bytes(store.load("later")) == b"2"


class TestAStoppedClient:
    def test_blocks_nobody(self, store: onecopy.Store, direct: bool) -> None:
        def work() -> None:
            for number in itertools.count():
                store.save("theirs", bytes(number % 3_000_000), overwrite=True)
                store.load("theirs")
                with store.lock("theirs"):
                    pass

        for _ in range(rounds(6)):
            child = Child(work)
            try:
                eventually(lambda: "theirs" in store)
                time.sleep(random.uniform(0, 0.01))  # A random moment is the point.
                child.signal(signal.SIGSTOP)
                store.save("ours", b"1", overwrite=True)
                assert bytes(store.load("ours")) == b"1"
                store.load("theirs")
                with store.lock("ours"):
                    pass
                store.remove(["ours", "theirs"])
            finally:
                child.close()
        with store.lock("theirs", timeout=60):
            pass
