from __future__ import annotations

from onecopy.store.daemon.waits import Waits


def test_a_waiter_is_told_when_all_its_names_exist() -> None:
    waits, told = Waits(), []
    waits.wait("w", ["a", "b", "a"], lambda: told.append("w"))
    waits.saved("b")
    waits.saved("b")
    assert told == []
    waits.saved("a")
    assert told == ["w"]


def test_all_who_wait_for_a_name_are_told() -> None:
    waits, told = Waits(), []
    for waiter in ("v", "w"):
        waits.wait(waiter, ["a"], lambda waiter=waiter: told.append(waiter))
    waits.saved("a")
    assert told == ["v", "w"]


def test_a_waiter_that_leaves_is_not_told() -> None:
    waits, told = Waits(), []
    waits.wait("v", ["a", "b"], lambda: told.append("v"))
    waits.wait("w", ["a"], lambda: told.append("w"))
    waits.cancel("v")
    waits.cancel("v")
    waits.saved("a")
    waits.saved("b")
    assert told == ["w"]


def test_nothing_is_kept_of_waiters_that_have_gone() -> None:
    waits = Waits()
    waits.wait("v", ["a", "b"], lambda: None)
    waits.saved("a")
    waits.cancel("v")
    waits.wait("w", ["a"], lambda: None)
    waits.saved("a")
    assert not waits._missing
    assert not waits._waiters
    assert not waits._ready
