"""Forks in the midst of things: a child starts afresh, and keeps nothing of its parent's."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

import onecopy
from onecopy.store import messages
from tests.attacks.balance import Unchanged, assert_balanced, settled
from tests.attacks.children import Child, forked
from tests.attacks.patience import eventually, rounds
from tests.processes import script


@contextmanager
def busy(work: Callable[[], object], threads: int = 2) -> Iterator[list[BaseException]]:
    """Have threads do `work()` again and again within the block; errors are collected."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            while not stop.is_set():
                work()
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield errors
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def use(store: onecopy.Store) -> Callable[[], None]:
    """What a forked child does with the handle that it inherited."""

    def work() -> None:
        name = f"child/{os.getpid()}"
        assert (store.load("entry") == np.arange(5000)).all()
        assert (store.load("entry", mode="readonly") == np.arange(5000)).all()
        store.save(name, b"child")
        assert bytes(store.load(name)) == b"child"
        with store.lock("lock", timeout=60):
            store.remove(name)

    return work


class TestWhileAnotherThread:
    @pytest.fixture(autouse=True)
    def entry(self, store: onecopy.Store) -> None:
        store.save("entry", np.arange(5000))

    def play(self, store: onecopy.Store, work: Callable[[], object]) -> None:
        with Unchanged(store):
            with busy(work) as errors:
                for _ in range(rounds(5)):
                    with forked(use(store), use(store)) as children:
                        for child in children:
                            child.wait()
            assert errors == []
            for name in store.names():
                if name != "entry":
                    store.remove(name)

    def test_loads(self, store: onecopy.Store) -> None:
        modes = iter(["private", "readonly", None] * 10**6)
        self.play(store, lambda: store.load("entry", mode=next(modes)))

    def test_saves(self, store: onecopy.Store) -> None:
        value = {"small": b"1", "some": np.arange(2000)}
        self.play(store, lambda: store.save(str(threading.get_ident()), value, overwrite=True))

    def test_saves_much(self, store: onecopy.Store) -> None:
        value = bytes(3 << 20)
        self.play(store, lambda: store.save(str(threading.get_ident()), value, overwrite=True))

    def test_saves_what_is_gathered_through_a_mapping(self, store: onecopy.Store) -> None:
        """A writable mapping that a child inherited would keep the segment from being sealed."""
        value = np.zeros((1000, 4000), "u1")[:, ::3]
        self.play(store, lambda: store.save(str(threading.get_ident()), value, overwrite=True))

    def test_locks(self, store: onecopy.Store) -> None:
        def work() -> None:
            with store.lock("lock"):
                pass

        self.play(store, work)

    def test_waits(self, store: onecopy.Store) -> None:
        def work() -> None:
            try:
                store.load("never", timeout=0.001)
            except onecopy.WaitTimeout:
                pass

        self.play(store, work)

    def test_connects(self, store: onecopy.Store) -> None:
        self.play(store, store._connection.drop)


def test_a_child_that_was_forked_during_a_save_does_not_keep_the_entry(
    store: onecopy.Store,
) -> None:
    """It inherits the descriptor of the segment that is being filled."""
    children: list[Child] = []

    def fork(_: int) -> None:
        if not children:
            children.append(Child(signal.pause))

    try:
        store.save("entry", bytes(2 << 20), progress=fork)
        eventually(lambda: not segments_of(children[0].pid))
        store.remove("entry")
        assert_balanced(store)
    finally:
        for child in children:
            child.close()


def segments_of(pid: int) -> list[str]:
    """Return which segments of entries a process has open or mapped."""
    links: list[str] = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            links.append(str(fd.readlink()))
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return [each for each in [*links, *maps] if "memfd:onecopy:" in each]


def test_a_child_keeps_what_its_parent_had_loaded(store: onecopy.Store) -> None:
    store.save("entry", np.arange(1000))
    results = [store.load("entry")]

    def work() -> None:
        assert (results[0] == np.arange(1000)).all()
        results[0][0] = 7
        assert store.load("entry")[0] == 0

    with forked(work) as (child,):
        child.wait()
    assert results[0][0] == 0
    with forked(signal.pause) as (child,):
        results.clear()
        assert store.stat("entry").in_use
        child.kill()
        eventually(lambda: not store.stat("entry").in_use)


def test_a_child_does_not_stop_its_parents_store(store: onecopy.Store) -> None:
    with forked(store.close, store.stats) as children:
        for child in children:
            child.wait()
    store.save("entry", b"1")
    assert bytes(store.load("entry")) == b"1"


def test_a_child_does_not_release_its_parents_lock(store: onecopy.Store) -> None:
    lock = store.lock("lock")
    lock.acquire()

    def work() -> None:
        with pytest.raises(onecopy.OnecopyError):
            lock.release()
        with pytest.raises(onecopy.WaitTimeout):
            store.lock("lock", timeout=0).acquire()

    with forked(work) as (child,):
        child.wait()
    lock.release()


def parent_of_one_that_stays(store: onecopy.Store, work: Callable[[], object]) -> Child:
    """Fork a process that does `work()`, leaves a child with all its connections, and waits."""
    reader, writer = os.pipe()

    def parent() -> None:
        work()
        with forked(signal.pause) as (child,):
            os.write(writer, child.pid.to_bytes(4, "little"))
            signal.pause()

    process = Child(parent)
    process.heir = int.from_bytes(os.read(reader, 4), "little")  # type: ignore[attr-defined]
    os.close(reader)
    os.close(writer)
    return process


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: gone(pid))


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


class TestAConnectionThatOutlivesItsProcess:
    """A forked child keeps its parent's connections open: there is no end of the stream."""

    def test_keeps_no_lock(self, store: onecopy.Store) -> None:
        parent = parent_of_one_that_stays(store, lambda: store.lock("lock").acquire())
        try:
            with pytest.raises(onecopy.WaitTimeout):
                store.lock("lock", timeout=0).acquire()
            parent.kill()
            with store.lock("lock", timeout=60):
                assert not gone(parent.heir)
        finally:
            parent.close()
            end(parent.heir)

    def test_keeps_no_reservation(self, store: onecopy.Store) -> None:
        kept = []

        def reserve() -> None:
            channel = store._connection.live().new_channel()
            kept.append(channel)
            channel.request(messages.Reserve("entry", 100 << 20, False))

        parent = parent_of_one_that_stays(store, reserve)
        try:
            eventually(lambda: store.stats().reserved == 100 << 20)
            parent.kill()
            eventually(lambda: settled(store))
            assert not gone(parent.heir)
        finally:
            parent.close()
            end(parent.heir)


class TestTheOwnersEnd:
    CODE = """
        import os, signal, sys, onecopy
        store = onecopy.start("owned", capacity="16MiB")
        store.save("entry", b"1")
        child = os.fork()
        if child == 0:
            signal.pause()
        print(store.pid, child, flush=True)
        sys.stdin.readline()
    """

    @pytest.mark.parametrize("how", ["killed", "exits"])
    def test_ends_the_daemon_though_a_forked_child_lives_on(self, how: str, runtime: Path) -> None:
        with script(self.CODE) as owner:
            assert owner.stdout is not None
            assert owner.stdin is not None
            daemon, child = map(int, owner.stdout.readline().split())
            try:
                if how == "killed":
                    owner.kill()
                else:
                    owner.stdin.write("\n")
                    owner.stdin.flush()
                eventually(lambda: gone(daemon))
                assert not gone(child)
                with pytest.raises(onecopy.StoreUnavailable):
                    onecopy.connect("owned", timeout=0)
            finally:
                end(child)
        eventually(lambda: not (runtime / "owned").exists())
