"""Which modules were used last."""

from __future__ import annotations

import pytest

from onecopy.guests.workers import last_used as home
from onecopy.guests.workers.last_used import MOST, LastUsed


def test_one_that_was_used_is_there() -> None:
    modules = LastUsed()
    assert modules.use("a", 1) == []
    assert "a" in modules
    assert "b" not in modules


def test_the_one_that_was_not_used_for_longest_goes() -> None:
    modules = LastUsed()
    for number in range(MOST):
        assert modules.use(str(number), 1) == []
    assert modules.use("0", 1) == []
    assert modules.use("another", 1) == ["1"]
    assert "0" in modules


def test_they_go_by_the_length_of_their_native_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "MAX_NATIVE_NBYTES", 100)
    modules = LastUsed()
    assert modules.use("a", 40) == modules.use("b", 40) == []
    assert modules.use("c", 90) == ["a", "b"]


def test_the_last_one_stays_however_long_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "MAX_NATIVE_NBYTES", 10)
    modules = LastUsed()
    assert modules.use("a", 40) == []
    assert "a" in modules
