from __future__ import annotations

import os

import pytest

from onecopy import EntryNotFound, InvalidArgument, Store, WaitTimeout
from onecopy.store.entries import Entries
from onecopy.store.manifest import Manifest


@pytest.fixture
def entries(store: Store) -> Entries:
    return store._entries


def test_several_are_loaded_in_the_order_of_their_names(store: Store, entries: Entries) -> None:
    for name in "abc":
        store.save(name, name)
    assert entries.load(["c", "a", "b", "a"], 0, None) == ["c", "a", "b", "a"]


def test_one_that_is_missing_is_named(store: Store, entries: Entries) -> None:
    store.save("a", 1)
    with pytest.raises(EntryNotFound, match="'b'"):
        entries.load(["a", "b"], 0, None)
    with pytest.raises(WaitTimeout, match="'b'"):
        entries.load(["a", "b"], 0.01, None)


def test_an_opened_segment_outlives_its_entry(store: Store, entries: Entries) -> None:
    store.save("a", b"some bytes")
    fd, found = entries.open("a")
    store.remove("a")
    assert os.fstat(fd).st_size == found.size
    os.close(fd)
    with pytest.raises(EntryNotFound, match="'a'"):
        entries.open("a")


def test_it_finds_what_there_is(store: Store, entries: Entries) -> None:
    store.save("a", 1)
    found = entries.find("a")
    assert found is not None
    assert not found.parts
    assert entries.find("b") is None


def test_hidden_names_are_told_only_to_those_who_ask(store: Store, entries: Entries) -> None:
    store.save("a", 1, shard=(0, 1))
    assert entries.names("") == ["a"]
    (part,) = entries.names("__onecopy/")
    assert part.startswith("__onecopy/shards/a/")


def test_a_value_in_shards_is_its_manifest_here(store: Store, entries: Entries) -> None:
    store.save("a", 1, shard=(0, 1))
    assert type(entries.load(["a"], 0, None)[0]) is Manifest


def test_facts_come_in_order_and_for_what_is_missing_there_are_none(
    store: Store, entries: Entries
) -> None:
    store.save("a", b"four")
    missing, there = entries.stat(["b", "a"])
    assert missing is None
    assert there is not None
    assert there.nbytes == 4


def test_no_name_is_asked_for_that_cannot_be_one(entries: Entries) -> None:
    for act in (entries.find, lambda name: entries.stat([name])):
        with pytest.raises(InvalidArgument):
            act("")
