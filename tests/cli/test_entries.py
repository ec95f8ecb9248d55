"""`ls`, `stat` and `rm`."""

from __future__ import annotations

import json

import pytest
import torch

import onecopy
from tests.cli.commands import refused, run

ENTRY_KEYS = [
    "name",
    "nbytes",
    "resident",
    "in_use",
    "hits",
    "mutable",
    "pinned",
    "ttl",
    "created",
    "last_used",
]
STORE_KEYS = [
    "name",
    "pid",
    "capacity",
    "used",
    "entries",
    "lingering",
    "reserved",
    "evicted",
    "expired",
    "clients",
    "started",
    "directory",
]


def fill(store: onecopy.Store) -> None:
    store.save("models/a", torch.zeros(1 << 20, dtype=torch.uint8))
    store.save("models/b", torch.zeros(3, dtype=torch.uint8), mutable=True, pin=True, ttl=600)
    store.save("other", b"")


class TestLs:
    def test_it_lists_entries_with_size_flags_and_use(self, store: onecopy.Store) -> None:
        fill(store)
        held = store.load("models/a")
        title, *lines = run("ls", "test").stdout.splitlines()
        assert title.split() == ["name", "size", "in", "use", "hits", "flags", "age"]
        assert lines[0].split()[:5] == ["models/a", "1", "MiB", "yes", "1"]
        assert "mutable, pinned, ttl 10 min" in lines[1]
        assert lines[2].split()[:5] == ["other", "0", "B", "no", "0"]
        del held

    def test_a_prefix_chooses(self, store: onecopy.Store) -> None:
        fill(store)
        names = [each["name"] for each in json.loads(run("ls", "test", "mod", "--json").stdout)]
        assert names == ["models/a", "models/b"]

    def test_json_has_these_keys(self, store: onecopy.Store) -> None:
        fill(store)
        entries = json.loads(run("ls", "test", "--json").stdout)
        assert [list(each) for each in entries] == [ENTRY_KEYS] * 3
        assert entries[0]["nbytes"] == 1 << 20
        assert entries[1]["ttl"] == 600

    @pytest.mark.usefixtures("store")
    def test_nothing_is_an_empty_list_and_a_remark_apart(self) -> None:
        assert json.loads(run("ls", "test", "--json").stdout) == []
        result = run("ls", "test", "models/")
        assert result.stdout == ""
        assert "no entries that begin with 'models/'" in result.stderr

    def test_a_name_cannot_steer_the_terminal(self, store: onecopy.Store) -> None:
        store.save("\x1b[2J\n[red]", b"x")
        assert "\\x1b[2J\\n[red]" in run("ls", "test").stdout

    @pytest.mark.usefixtures("store")
    def test_without_a_store_it_lists_the_stores(self) -> None:
        title, line = run("ls").stdout.splitlines()
        assert title.split() == ["name", "entries", "used", "capacity", "clients", "pid", "age"]
        assert line.split()[:7] == ["test", "0", "0", "B", "64", "MiB", "1"]
        assert [list(each) for each in json.loads(run("ls", "--json").stdout)] == [STORE_KEYS]

    def test_no_store_at_all_is_an_empty_list(self) -> None:
        assert "onecopy serve NAME" in run("ls").stderr
        assert json.loads(run("ls", "--json").stdout) == []


class TestStat:
    def test_it_shows_an_entry(self, store: onecopy.Store) -> None:
        fill(store)
        facts = run("stat", "test", "models/b").stdout
        for text in ("nbytes     3 bytes", "mutable    yes", "ttl        10 min", "ago)"):
            assert text in facts

    def test_it_shows_the_store(self, store: onecopy.Store) -> None:
        fill(store)
        facts = run("stat", "test").stdout
        assert "capacity   64 MiB (67108864 bytes)" in facts
        assert "entries    3" in facts

    def test_json_has_these_keys(self, store: onecopy.Store) -> None:
        fill(store)
        assert list(json.loads(run("stat", "test", "other", "--json").stdout)) == ENTRY_KEYS
        assert list(json.loads(run("stat", "test", "--json").stdout)) == STORE_KEYS

    @pytest.mark.usefixtures("store")
    def test_a_missing_entry_is_an_error(self) -> None:
        assert "no entry 'x' in store 'test'" in refused("stat", "test", "x")


class TestRm:
    def test_it_removes_several(self, store: onecopy.Store) -> None:
        fill(store)
        assert run("rm", "test", "models/a", "other").stdout == ""
        assert store.names() == ["models/b"]

    def test_it_removes_all_or_none(self, store: onecopy.Store) -> None:
        fill(store)
        assert "so nothing was removed" in refused("rm", "test", "other", "missing")
        assert len(store.names()) == 3

    def test_json_names_what_was_removed(self, store: onecopy.Store) -> None:
        fill(store)
        assert json.loads(run("rm", "test", "other", "--json").stdout) == {"removed": ["other"]}
