"""The store against a plain dict: hypothesis looks for a sequence of calls where they differ."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import onecopy
from tests.attacks.balance import assert_balanced
from tests.attacks.patience import rounds

NAMES = st.sampled_from(["a", "b", "models/x", "models/ÿ", "z" * 255])
MODES = st.sampled_from([None, "private", "readonly", "shared"])


@dataclass(eq=False)
class Saved:
    """What the model knows of an entry."""

    values: list[int]
    mutable: bool
    pinned: bool


@dataclass(eq=False)
class Held:
    """A result that is kept: the array, and what must be in it."""

    array: Any
    entry: Saved
    own: list[int] | None = field(default=None)
    """What a private view shows; others show what is in the entry."""

    def check(self) -> None:
        expected = self.entry.values if self.own is None else self.own
        assert self.array.tolist() == expected


class StoreMachine(RuleBasedStateMachine):
    """Two handles of one store, used at random."""

    handles: tuple[onecopy.Store, ...] = ()
    held = Bundle("held")

    @initialize()
    def begin(self) -> None:
        self.model: dict[str, Saved] = {}
        self.kept: list[Held] = []

    def teardown(self) -> None:
        self.kept = []
        names = self.handles[0].names()
        if names:
            self.handles[0].remove(names)

    def handle(self, number: int) -> onecopy.Store:
        return self.handles[number % len(self.handles)]

    @rule(
        by=st.integers(0, 1), name=NAMES, number=st.integers(-5, 5), count=st.integers(1, 2000),
        overwrite=st.booleans(), mutable=st.booleans(), pin=st.booleans(),
    )  # fmt: skip
    def save(
        self, by: int, name: str, number: int, count: int, overwrite: bool, mutable: bool, pin: bool
    ) -> None:
        value = np.full(count, number)
        options = {"overwrite": overwrite, "mutable": mutable, "pin": pin}
        if name in self.model and not overwrite:
            with pytest.raises(onecopy.EntryExists):
                self.handle(by).save(name, {"array": value}, **options)
            return
        self.handle(by).save(name, {"array": value}, **options)
        value[:] = 99  # What the saver writes later stays its own.
        self.model[name] = Saved([number] * count, mutable, pin)

    @rule(target=held, by=st.integers(0, 1), name=NAMES, mode=MODES)
    def load(self, by: int, name: str, mode: Any) -> Held | None:
        store = self.handle(by)
        entry = self.model.get(name)
        if entry is None:
            with pytest.raises(onecopy.EntryNotFound):
                store.load(name, mode=mode)
            return None
        if mode == "shared" and not entry.mutable:
            with pytest.raises(onecopy.InvalidArgument):
                store.load(name, mode=mode)
            return None
        array = store.load(name, mode=mode)["array"]
        private = mode == "private" or (mode is None and not entry.mutable)
        held = Held(array, entry, list(entry.values) if private else None)
        held.check()
        assert array.flags.writeable == (mode != "readonly")
        if private and entry.mutable:
            return None  # Its pages show later writes, or not: nobody promises either.
        self.kept.append(held)
        return held

    @rule(held=held, where=st.integers(0, 10**6), number=st.integers(-9, 9))
    def write(self, held: Held | None, where: int, number: int) -> None:
        if held is None or not held.array.flags.writeable:
            return
        values = held.entry.values if held.own is None else held.own
        held.array[where % len(values)] = number
        values[where % len(values)] = number

    @rule(held=consumes(held))
    def drop(self, held: Held | None) -> None:
        if held is not None:
            self.kept.remove(held)
            held.array = None  # The machine remembers what it once drew.

    @rule(by=st.integers(0, 1), names=st.lists(NAMES, max_size=3))
    def remove(self, by: int, names: list[str]) -> None:
        if all(name in self.model for name in names):
            self.handle(by).remove(names)
            for name in set(names):
                del self.model[name]
        else:
            with pytest.raises(onecopy.EntryNotFound):
                self.handle(by).remove(names)

    @rule(by=st.integers(0, 1), names=st.lists(NAMES, max_size=6), mode=MODES)
    def load_several(self, by: int, names: list[str], mode: Any) -> None:
        missing = [name for name in names if name not in self.model]
        if missing or mode == "shared":
            return
        loaded = self.handle(by).load(names, mode=mode)
        assert [each["array"].tolist() for each in loaded] == [
            self.model[name].values for name in names
        ]

    @rule(by=st.integers(0, 1), name=NAMES)
    def look(self, by: int, name: str) -> None:
        store = self.handle(by)
        assert (name in store) == (name in self.model)
        (stat,) = store.stat([name])
        if name not in self.model:
            assert stat is None
            return
        entry = self.model[name]
        assert stat.nbytes == 8 * len(entry.values)
        assert (stat.mutable, stat.pinned, stat.ttl) == (entry.mutable, entry.pinned, None)
        in_use = any(held.entry is entry for held in self.kept)
        assert stat.in_use == in_use

    @rule(by=st.integers(0, 1))
    def reconnect(self, by: int) -> None:
        self.handle(by)._connection.drop()

    @invariant()
    def everything_agrees(self) -> None:
        for number in range(len(self.handles)):
            assert self.handle(number).names() == sorted(self.model)
        for prefix in ("models/", "b", "none"):
            expected = sorted(name for name in self.model if name.startswith(prefix))
            assert self.handle(0).names(prefix) == expected
        for held in self.kept:
            held.check()


@pytest.fixture
def handles(store: onecopy.Store, client: onecopy.Store) -> Iterator[tuple[onecopy.Store, ...]]:
    yield store, client
    gc.collect()  # The machine is a cycle, and holds results.
    assert_balanced(store)


def test_the_store_behaves_like_a_dict(handles: tuple[onecopy.Store, ...]) -> None:
    machine = type("Machine", (StoreMachine,), {"handles": handles})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=rounds(40), stateful_step_count=40, deadline=None, database=None
        ),
    )
