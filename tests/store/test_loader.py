"""What the loader does for an entry that is met again, with the C library and without."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import onecopy
from onecopy import native


@pytest.fixture(params=["library", "python"])
def client(
    request: pytest.FixtureRequest, store: onecopy.Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[onecopy.Store]:
    if request.param == "python":
        monkeypatch.setattr(native, "find", lambda: None)
    with onecopy.connect("test", timeout=5, direct=True) as client:
        yield client


def test_a_known_entry_is_loaded_afresh_each_time(
    store: onecopy.Store, client: onecopy.Store
) -> None:
    store.save("x", np.arange(1000))
    for _ in range(3):
        value = client.load("x")
        assert (value == np.arange(1000)).all()
        value[:] = -1


def test_a_known_name_with_another_entry_gives_that(
    store: onecopy.Store, client: onecopy.Store
) -> None:
    for number in range(10):
        store.save("x", np.full(100, number), overwrite=True)
        assert (client.load("x") == number).all()
        assert (client.load("x") == number).all()


def test_a_known_name_that_was_removed_is_not_found(
    store: onecopy.Store, client: onecopy.Store
) -> None:
    store.save("x", b"bytes")
    client.load("x")
    client.load("x")
    store.remove("x")
    with pytest.raises(onecopy.EntryNotFound):
        client.load("x")


def test_every_load_is_counted(store: onecopy.Store, client: onecopy.Store) -> None:
    store.save("x", b"bytes")
    store.save("y", b"bytes", mutable=True)
    for name in ("x", "y"):
        held = [client.load(name) for _ in range(5)]
        assert store.stat(name).hits == len(held)


def test_a_load_makes_an_entry_young(store: onecopy.Store, client: onecopy.Store) -> None:
    store.save("x", b"bytes")
    client.load("x")
    before = store.stat("x").last_used
    client.load("x")
    assert store.stat("x").last_used > before


def test_a_mutable_entry_is_shared_by_all_its_loads(
    store: onecopy.Store, client: onecopy.Store
) -> None:
    store.save("x", np.zeros(10), mutable=True)
    for number in range(1, 4):
        client.load("x")[0] = number
        assert store.load("x")[0] == number


def test_a_daemon_that_died_answers_no_known_load(
    store: onecopy.Store, client: onecopy.Store
) -> None:
    store.save("x", b"bytes")
    held = client.load("x")
    store.close()
    with pytest.raises(onecopy.StoreUnavailable):
        client.load("x")
    assert held == b"bytes"
