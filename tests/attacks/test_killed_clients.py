"""SIGKILL of clients at random moments, many times, several at once."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import time
from collections.abc import Callable

import pytest

import onecopy
from tests.attacks.balance import Unchanged
from tests.attacks.children import forked
from tests.attacks.patience import eventually, rounds
from tests.processes import script

SMALL, LARGE = 3_000, 1_500_000
AT_ONCE = 4
LONGEST_DELAY = 0.02


def content(name: str, nbytes: int) -> bytes:
    digest = hashlib.blake2b(name.encode()).digest()
    return (digest * (nbytes // len(digest) + 1))[:nbytes]


def assert_whole(store: onecopy.Store, names: list[str]) -> None:
    for name in names:
        value = store.load(name)
        assert bytes(value) == content(name, len(value)), name
        assert len(value) in (SMALL, LARGE)


def kill_many(work: Callable[[], object], total: int) -> None:
    """Kill processes that do `work()`, several at a time, at random moments."""
    for _ in range(0, total, AT_ONCE):
        with forked(*[work] * AT_ONCE) as children:
            for child in children:
                time.sleep(random.uniform(0, LONGEST_DELAY) / AT_ONCE)
                assert child.report() == ""


def save_for_ever(store: onecopy.Store, nbytes: int) -> None:
    for number in itertools.count():
        name = f"{os.getpid()}/{number % 5}"
        store.save(name, content(name, nbytes), overwrite=True)


@pytest.mark.parametrize("nbytes", [SMALL, LARGE])
def test_savers_leave_only_whole_entries(store: onecopy.Store, nbytes: int) -> None:
    with Unchanged(store):
        for _ in range(3):
            kill_many(lambda: save_for_ever(store, nbytes), rounds(12))
            names = store.names()
            assert_whole(store, names)
            store.remove(names)


def test_a_saver_that_is_killed_while_others_save_the_same_name_disturbs_none(
    store: onecopy.Store,
) -> None:
    def fight() -> None:
        for number in itertools.count():
            try:
                store.save("prize", content("prize", (SMALL, LARGE)[number % 2]))
                store.remove("prize")
            except (onecopy.EntryExists, onecopy.EntryNotFound):
                pass

    with Unchanged(store):
        kill_many(fight, rounds(24))
        names = store.names()
        assert set(names) <= {"prize"}
        assert_whole(store, names)
        store.remove(names)


def test_loaders_leave_nothing_in_use(store: onecopy.Store) -> None:
    names = [f"entry/{number}" for number in range(5)]
    for number, name in enumerate(names):
        store.save(name, content(name, SMALL if number % 2 else LARGE))

    def load_for_ever() -> None:
        kept = []
        for mode in itertools.cycle(["private", "readonly"]):
            kept = [*kept[-3:], store.load(random.choice(names), mode=mode)]

    with Unchanged(store):
        kill_many(load_for_ever, rounds(24))
        assert_whole(store, names)
        eventually(lambda: not any(entry.in_use for entry in store.stat(names)))


def test_loaders_of_what_comes_and_goes_leave_no_segment(store: onecopy.Store) -> None:
    def churn() -> None:
        for number in itertools.count():
            store.save("churn", content("churn", SMALL), overwrite=True)
            if number % 3 == 0:
                try:
                    store.remove("churn")
                except onecopy.EntryNotFound:
                    pass

    def load_for_ever() -> None:
        while True:
            try:
                assert bytes(store.load("churn")) == content("churn", SMALL)
            except onecopy.EntryNotFound:
                pass

    with Unchanged(store), forked(churn, churn) as savers:
        kill_many(load_for_ever, rounds(24))
        assert [saver.report() for saver in savers] == ["", ""]


@pytest.mark.parametrize("shared", [False, True])
def test_lock_holders_leave_no_lock_held(store: onecopy.Store, shared: bool) -> None:
    def lock_for_ever() -> None:
        for number in itertools.count():
            with store.lock(f"lock/{number % 2}", shared=shared and number % 3 > 0):
                pass

    with Unchanged(store):
        kill_many(lock_for_ever, rounds(24))
        for name in ("lock/0", "lock/1"):
            with store.lock(name, timeout=60):
                pass


def test_the_next_in_line_gets_the_lock_of_each_holder_that_is_killed(
    store: onecopy.Store,
) -> None:
    reader, writer = os.pipe()

    def hold() -> None:
        store.lock("relay").acquire()
        os.write(writer, os.getpid().to_bytes(4, "little"))
        time.sleep(1000)

    with forked(*[hold] * rounds(10)) as children:
        by_pid = {child.pid: child for child in children}
        while by_pid:
            holder = by_pid.pop(int.from_bytes(os.read(reader, 4), "little"))
            assert holder.report() == ""
    os.close(reader)
    os.close(writer)
    with store.lock("relay", timeout=60):
        pass


def test_waiters_leave_no_wait_behind(store: onecopy.Store) -> None:
    def wait_for_ever() -> None:
        for number in itertools.count():
            try:
                store.load([f"never/{os.getpid()}", f"never/{number}"], timeout=0.001)
            except onecopy.WaitTimeout:
                pass

    with Unchanged(store):
        clients = store.stats().clients
        kill_many(wait_for_ever, rounds(24))
        kill_many(lambda: store.load("never", timeout=-1), rounds(16))
        eventually(lambda: store.stats().clients == clients)
        store.save("never", b"after all")
        assert bytes(store.load("never", timeout=60)) == b"after all"


def test_watchers_leave_no_watch_behind(store: onecopy.Store) -> None:
    def watch_for_ever() -> None:
        for _ in store.watch():
            pass

    with Unchanged(store):
        clients = store.stats().clients
        kill_many(watch_for_ever, rounds(12))
        store.save("seen by nobody", b"1")
        eventually(lambda: store.stats().clients == clients)


def test_real_processes_with_torch_leave_only_whole_entries() -> None:
    code = """
        import itertools, os, torch, onecopy
        store = onecopy.connect("test")
        print("ready", flush=True)
        for number in itertools.count():
            name = f"torch/{number % 4}"
            value = {"name": name, "number": number, "fill": torch.full((500, 1000), number)}
            store.save(name, value, overwrite=True)
            assert store.load(name)["name"] == name
    """
    with onecopy.start("test", capacity="64MiB") as store, Unchanged(store):
        with script(code) as first, script(code) as second:
            for process in (first, second):
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            for process in (first, second):
                time.sleep(random.uniform(0, 0.1))
                process.kill()
        for name in store.names():
            value = store.load(name)
            assert value["name"] == name
            assert (value["fill"] == value["number"]).all()
        del value
