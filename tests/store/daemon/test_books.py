from __future__ import annotations

import os
import signal

import pytest

from onecopy.errors import StoreFull
from onecopy.segments import lease, region
from onecopy.segments.mapping import map_fd
from onecopy.store.daemon.books import Books, Entry


@pytest.fixture(autouse=True)
def probing():
    before = signal.getsignal(signal.SIGIO)
    lease.prepare()
    yield
    signal.signal(signal.SIGIO, before)


class Ledger:
    """Books with entries of real, tiny segments that claim to be larger."""

    def __init__(self, capacity: int) -> None:
        self.touched: dict[str, int] = {}
        self.books = Books(capacity, lambda entry: self.touched.get(entry.name, 0))
        self.entries: dict[str, Entry] = {}
        self.clock = 0

    def hold(self, name: str, resident: int, *, ttl: float | None = None, pin: bool = False):
        fd = region.create(name, 4096)
        status = os.fstat(fd)
        holding = self.books.holding(status, region.reopen(fd), shared=False)
        entry = Entry(name, holding, resident, resident)
        os.close(fd)
        entry.ttl, entry.pinned = ttl, pin
        self.clock += 1
        entry.last_used = self.clock
        self.books.hold(entry)
        self.entries[name] = entry
        return entry

    def touch(self, name: str) -> None:
        self.clock += 1
        self.touched[name] = self.clock

    def victims(self, nbytes: int, keep: Entry | None = None) -> list[str]:
        return [entry.name for entry in self.books.victims(nbytes, keep)]


@pytest.fixture
def ledger():
    ledger = Ledger(100)
    yield ledger
    for entry in ledger.entries.values():
        if entry.present:
            os.close(entry.holding.fd)


def test_room_that_is_there_needs_no_victims(ledger: Ledger) -> None:
    ledger.hold("a", 60)
    assert ledger.victims(40) == []
    assert ledger.books.used == 60


def test_the_oldest_go_first_as_many_as_it_takes(ledger: Ledger) -> None:
    for name in "abcde":
        ledger.hold(name, 20)
    assert ledger.victims(30) == ["a", "b"]


def test_a_touch_makes_an_entry_young_again(ledger: Ledger) -> None:
    for name in "abcde":
        ledger.hold(name, 20)
    ledger.touch("b")
    ledger.touch("a")
    assert ledger.victims(100) == ["c", "d", "e", "b", "a"]


def test_choosing_changes_nothing(ledger: Ledger) -> None:
    for name in "abcde":
        ledger.hold(name, 20)
    assert ledger.victims(30) == ledger.victims(30) == ["a", "b"]


def test_entries_with_a_ttl_go_before_older_ones(ledger: Ledger) -> None:
    ledger.hold("a", 50)
    ledger.hold("b", 50, ttl=100)
    assert ledger.victims(10) == ["b"]


def test_pinned_entries_and_the_one_to_keep_stay(ledger: Ledger) -> None:
    ledger.hold("a", 30, pin=True)
    keep = ledger.hold("b", 30)
    ledger.hold("c", 40)
    assert ledger.victims(40, keep) == ["c"]
    with pytest.raises(StoreFull):
        ledger.victims(41, keep)


def test_an_entry_in_use_stays(ledger: Ledger) -> None:
    entry = ledger.hold("a", 60)
    ledger.hold("b", 40)
    reader = region.reopen(entry.holding.fd)
    assert ledger.victims(40) == ["b"]
    with pytest.raises(StoreFull, match="60 B is in use"):
        ledger.victims(50)
    os.close(reader)
    assert ledger.victims(50) == ["a"]


def test_a_dropped_entry_counts_until_its_last_user_has_gone(ledger: Ledger) -> None:
    entry = ledger.hold("a", 60)
    reader = region.reopen(entry.holding.fd)
    mapping = map_fd(reader, 4096)
    os.close(reader)
    ledger.books.drop(entry)
    assert (ledger.books.used, ledger.books.lingering) == (60, 60)
    assert ledger.books.sweep()
    del mapping
    assert not ledger.books.sweep()
    assert (ledger.books.used, ledger.books.lingering) == (0, 0)


def test_what_lingers_is_asked_about_before_anything_is_evicted(ledger: Ledger) -> None:
    gone = ledger.hold("gone", 60)
    ledger.hold("a", 40)
    reader = region.reopen(gone.holding.fd)
    ledger.books.drop(gone)
    os.close(reader)
    assert ledger.victims(60) == []


def test_reservations_count(ledger: Ledger) -> None:
    ledger.books.reserve("x", 70)
    ledger.books.reserve("x", 50)
    assert (ledger.books.used, ledger.books.reserved) == (50, 50)
    with pytest.raises(StoreFull, match="50 B is being saved"):
        ledger.victims(60)
    ledger.books.unreserve("x")
    ledger.books.unreserve("x")
    assert ledger.books.used == 0
