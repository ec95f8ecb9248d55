"""Readers that race with a writer who uses names, slots, descriptors and inodes again and again.

Every value says what it must be: its name, and a number that only grows. So a reader would
notice a torn value, another entry's bytes, or an older value after a newer one.
"""

from __future__ import annotations

import itertools
import mmap
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

import onecopy
from tests.attacks.balance import assert_balanced
from tests.attacks.children import forked
from tests.attacks.patience import rounds

NAMES = ["a", "b", "a name that is longer than the others"]
MODES = ["private", "readonly", "shared", None]


def value_of(name: str, number: int) -> dict[str, object]:
    """Return a value whose size changes with its number, and that says what it is."""
    return {"name": name, "number": number, "data": np.full(50 + number % 4000, number)}


def number_in(name: str, value: dict[str, object]) -> int:
    """Check a value for consistency and return its number."""
    number, data = value["number"], value["data"]
    assert value["name"] == name
    assert isinstance(number, int)
    assert isinstance(data, np.ndarray)
    assert data.shape == (50 + number % 4000,)
    assert (data == number).all(), (name, number, data)
    return number


class Counter:
    """A number in memory that forked children share."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)
        self._word = memoryview(self._memory).cast("Q")

    def get(self) -> int:
        return self._word[0]

    def set(self, number: int) -> None:
        self._word[0] = number


@contextmanager
def racing(writer: Callable[[], object], *readers: Callable[[], object]) -> Iterator[None]:
    """Run a writer until it is killed, and readers until they have read enough."""
    with forked(writer) as (first,):
        with forked(*readers) as children:
            for child in children:
                child.wait()
        assert first.report() == ""
    yield


@pytest.fixture
def store() -> Iterator[onecopy.Store]:
    with onecopy.start("test", capacity="256MiB") as store:
        yield store


def connect(direct: bool) -> onecopy.Store:
    return onecopy.connect("test", timeout=60, direct=direct)


def test_overwritten_values_are_whole_and_never_go_back(store: onecopy.Store) -> None:
    for name in NAMES:
        store.save(name, value_of(name, 0), mutable=True)

    def write() -> None:
        for number in itertools.count(1):
            for name in NAMES:
                store.save(name, value_of(name, number), overwrite=True, mutable=True)

    def read(direct: bool) -> None:
        newest = dict.fromkeys(NAMES, 0)
        kept: list[tuple[str, int, dict[str, object]]] = []
        reader = connect(direct)
        for turn in range(rounds(1500)):
            name = random.choice(NAMES)
            value = reader.load(name, mode=MODES[turn % 4])
            number = number_in(name, value)
            assert number >= newest[name], (name, number, newest)
            newest[name] = number
            kept = [*kept[-5:], (name, number, value)]
            for name, number, value in kept:
                assert number_in(name, value) == number
        assert max(newest.values()) > 0

    with racing(write, *[lambda d=direct: read(d) for direct in (True, True, False)]):
        assert_balanced(store)


def test_removed_values_are_whole_or_missing(store: onecopy.Store) -> None:
    def write() -> None:
        for number in itertools.count(1):
            names = random.sample(NAMES, 2)
            for name in names:
                store.save(name, value_of(name, number), mutable=bool(number % 2))
            store.remove(names)

    def read(direct: bool) -> None:
        newest = dict.fromkeys(NAMES, 0)
        seen = 0
        reader = connect(direct)
        while seen < rounds(400):
            name = random.choice(NAMES)
            try:
                value = reader.load(name, mode=random.choice(["private", "readonly", None]))
            except onecopy.EntryNotFound:
                continue
            number = number_in(name, value)
            assert number >= newest[name]
            newest[name] = number
            seen += 1

    with racing(write, *[lambda d=direct: read(d) for direct in (True, True, False)]):
        store.remove(store.names())
        assert_balanced(store)


def test_what_other_methods_say_is_of_one_moment(store: onecopy.Store) -> None:
    store.save("stays", value_of("stays", 1))

    def write() -> None:
        for number in itertools.count(1):
            name = f"comes and goes {number % 7}"
            store.save(name, value_of(name, number))
            if number % 3:
                store.remove(name)
            else:
                store.remove(store.names("comes and goes"))

    def read(direct: bool) -> None:
        reader = connect(direct)
        for _ in range(rounds(300)):
            assert "stays" in reader
            assert "never" not in reader
            names = reader.names()
            assert "stays" in names
            assert names == sorted(set(names))
            assert all(name == "stays" or name.startswith("comes") for name in names)
            assert reader.stat("stays").name == "stays"
            assert number_in("stays", reader.load("stays", mode="readonly")) == 1

    with racing(write, lambda: read(True), lambda: read(False)):
        pass


def test_a_growing_index_loses_no_name(store: onecopy.Store) -> None:
    """More names than the first index holds: it moves while others read it."""
    total = 2500
    saved = Counter()
    problems: list[str] = []

    def write() -> None:
        for number in range(total):
            store.save(f"name/{number}", number.to_bytes(8, "little"))
            saved.set(number + 1)

    def read(direct: bool) -> None:
        reader = connect(direct)
        while (known := saved.get()) < total:
            if not known:
                continue
            number = random.randrange(known)
            name = f"name/{number}"
            assert int.from_bytes(reader.load(name), "little") == number
            assert name in reader
            if not number % 100:
                assert len(reader.names()) >= known

    with forked(*[lambda d=direct: read(d) for direct in (True, False)]) as readers:
        write()
        for reader in readers:
            reader.wait()
    assert problems == []
    assert len(store.names("name/")) == total
    names = [f"name/{number}" for number in range(total)]
    for name, value in zip(names, store.load(names), strict=True):
        assert name == f"name/{int.from_bytes(value, 'little')}"


def test_tombstones_hide_no_name(store: onecopy.Store) -> None:
    """A window of names that moves on: buckets are taken, freed and swept all the time."""
    window = 800
    first, last = Counter(), Counter()

    def write() -> None:
        for number in itertools.count():
            store.save(f"window/{number}", number.to_bytes(8, "little"))
            last.set(number)
            if number >= window:
                first.set(number - window + 1)
                store.remove(f"window/{number - window}")

    def read(direct: bool) -> None:
        reader = connect(direct)
        seen = missed = 0
        while seen < rounds(2000) or last.get() < 3 * window:
            number = random.randint(first.get(), last.get())
            try:
                value = reader.load(f"window/{number}")
            except onecopy.EntryNotFound:
                # Rightly so only if it was removed by now, or was not there yet at first.
                assert number < first.get() or not last.get(), (number, first.get(), last.get())
                missed += 1
                continue
            assert int.from_bytes(value, "little") == number
            seen += 1

    with racing(write, lambda: read(True), lambda: read(False)):
        names = store.names()
        assert window <= len(names) <= window + 2
        for name, value in zip(names, store.load(names), strict=True):
            assert name == f"window/{int.from_bytes(value, 'little')}"
        del value
        store.remove(names)
        assert_balanced(store)


def test_a_descriptor_number_that_names_another_entry_is_noticed(store: onecopy.Store) -> None:
    """Between look-up and opening, the name is removed and its descriptor number reused."""
    reader = connect(direct=True)
    store.save("mine", np.full(100, 1))
    opener = reader._connection.session.opener
    number = os.listdir(f"/proc/{store.pid}/fd")

    class Meddler:
        def open(self, found: object, what: int) -> int | None:
            if store.contains("mine"):
                store.remove("mine")
                store.save("other", np.full(100, 2))
                assert os.listdir(f"/proc/{store.pid}/fd") == number
            return opener.open(found, what)

    reader._connection.live_loader()[1]._open = Meddler().open
    with pytest.raises(onecopy.EntryNotFound):
        reader.load("mine")
    assert (reader.load("other") == 2).all()
    reader.close()


def test_a_known_descriptor_number_that_names_another_entry_is_noticed(
    store: onecopy.Store,
) -> None:
    """The entry was loaded before; since then its name was removed, and its number reused."""
    with connect(direct=True) as reader:
        store.save("mine", np.full(100, 1))
        assert (reader.load("mine") == 1).all()
        number = os.listdir(f"/proc/{store.pid}/fd")
        store.remove("mine")
        store.save("other", np.full(100, 2))
        assert os.listdir(f"/proc/{store.pid}/fd") == number
        with pytest.raises(onecopy.EntryNotFound):
            reader.load("mine")
