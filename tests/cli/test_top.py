"""`top`, and the samples that it shows."""

from __future__ import annotations

import json
import signal

import pytest
import torch

import onecopy
from onecopy.cli import sample as module
from onecopy.cli.sample import Sampler
from tests.cli.commands import on_terminal, refused, run
from tests.cli.test_entries import ENTRY_KEYS, STORE_KEYS


class TestSampler:
    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """What the sampler takes for the time."""
        now = [100.0]
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
        return now

    def test_the_first_rates_are_zero(self, store: onecopy.Store) -> None:
        store.save("x", torch.ones(1))
        store.load("x")
        assert [row.rate for row in Sampler(store).take().rows] == [0]

    def test_rates_are_loads_per_second(self, store: onecopy.Store, clock: list[float]) -> None:
        store.save("x", torch.ones(1))
        sampler = Sampler(store)
        sampler.take()
        for _ in range(10):
            store.load("x")
        clock[0] += 2
        assert [row.rate for row in sampler.take().rows] == [5]

    def test_an_entry_that_was_replaced_counts_anew(
        self, store: onecopy.Store, clock: list[float]
    ) -> None:
        sampler = Sampler(store)
        store.save("x", torch.ones(1))
        for _ in range(3):
            store.load("x")
        sampler.take()
        store.save("x", torch.ones(1), overwrite=True)
        store.load("x")
        clock[0] += 1
        assert [row.rate for row in sampler.take().rows] == [1]

    def test_the_busiest_come_first_then_the_largest(
        self, store: onecopy.Store, clock: list[float]
    ) -> None:
        for name, nbytes in (("small", 1), ("large", 100), ("busy", 1)):
            store.save(name, bytes(nbytes))
        sampler = Sampler(store)
        sampler.take()
        store.load("busy")
        clock[0] += 1
        assert [row.entry.name for row in sampler.take().rows] == ["busy", "large", "small"]


class TestTop:
    def test_once_prints_the_store_and_its_entries(self, store: onecopy.Store) -> None:
        store.save("weights", torch.ones(1000))
        text = run("top", "test", "--once", "--interval", "1ms").stdout
        for part in ("store test", "clients 1", "evicted 0", "of 64 MiB", "weights", "3.91 KiB"):
            assert part in text

    def test_json_has_these_keys(self, store: onecopy.Store) -> None:
        store.save("x", torch.ones(1))
        found = json.loads(run("top", "test", "--json", "--interval", "1ms").stdout)
        assert list(found) == ["store", "entries"]
        assert list(found["store"]) == STORE_KEYS
        assert list(found["entries"][0]) == [*ENTRY_KEYS, "hits_per_second"]

    def test_a_missing_store_is_an_error(self) -> None:
        assert "no store 'x' is running" in refused("top", "x")

    def test_q_leaves(self, store: onecopy.Store) -> None:
        store.save("weights", torch.ones(1))
        with on_terminal("top", "test", "--interval", "60s") as terminal:
            terminal.read_until("weights")
            terminal.press(b"q")
            terminal.read_all()
            assert terminal.process.wait(20) == 0

    def test_interrupting_it_leaves_without_a_word(self, store: onecopy.Store) -> None:
        store.save("weights", torch.ones(1))
        with on_terminal("top", "test", "--interval", "60s") as terminal:
            terminal.read_until("weights")
            terminal.process.send_signal(signal.SIGINT)
            assert "Traceback" not in terminal.read_all()
            assert terminal.process.wait(20) == 0

    def test_more_entries_than_lines_are_counted(self, store: onecopy.Store) -> None:
        for number in range(50):
            store.save(f"entry-{number}", b"x")
        with on_terminal("top", "test", "--interval", "60s") as terminal:
            terminal.read_until("… and 26 more")
            terminal.press(b"q")
            terminal.read_all()

    def test_it_goes_on_when_entries_come_and_go(self, store: onecopy.Store) -> None:
        with on_terminal("top", "test", "--interval", "10ms") as terminal:
            store.save("first", b"x")
            terminal.read_until("first")
            store.remove("first")
            store.save("second", b"x")
            terminal.read_until("second")
            terminal.press(b"q")
            terminal.read_all()
            assert terminal.process.wait(20) == 0

    def test_it_ends_with_a_typed_error_when_the_store_does(self, store: onecopy.Store) -> None:
        store.save("weights", torch.ones(1))
        with on_terminal("top", "test", "--interval", "10ms") as terminal:
            terminal.read_until("weights")
            store.close()
            text = terminal.read_all()
            assert terminal.process.wait(20) == 1
        assert "Traceback" not in text
        assert "onecopy: " in text
