from __future__ import annotations

import pytest

import onecopy
from onecopy import Store, StoreClosed, StoreUnavailable


@pytest.fixture
def direct() -> bool:
    """No entry is opened here."""
    return True


def test_a_watcher_hears_of_everything_since_it_began(store: Store, client: Store) -> None:
    store.save("before", b"x")
    with client.watch(timeout=30) as events:
        store.save("a", b"x")
        store.save("a", b"y", overwrite=True)
        store.remove("a")
        seen = [next(events) for _ in range(3)]
    assert [(e.kind, e.name) for e in seen] == [("saved", "a"), ("saved", "a"), ("removed", "a")]


def test_a_prefix_narrows_what_is_heard(store: Store, client: Store) -> None:
    with client.watch("models/", timeout=30) as events:
        store.save("other", b"x")
        store.save("models/a", b"x")
        assert next(events).name == "models/a"


def test_evictions_are_heard() -> None:
    with (
        onecopy.start("small", capacity="3MiB") as store,
        store.watch(timeout=30) as events,
    ):
        for name in "ab":
            store.save(name, bytes(2 << 20))
        assert [(e.kind, e.name) for e in (next(events), next(events), next(events))] == [
            ("saved", "a"),
            ("evicted", "a"),
            ("saved", "b"),
        ]


def test_the_iteration_ends_when_nothing_happens(store: Store) -> None:
    assert list(store.watch(timeout=0.01)) == []
    with store.watch(timeout=0.05) as events:
        store.save("a", b"x")
        assert [e.kind for e in events] == ["saved"]


def test_a_closed_watch_says_so(store: Store) -> None:
    events = store.watch()
    events.close()
    events.close()
    with pytest.raises(StoreClosed, match="new one"):
        next(events)


def test_the_death_of_the_store_ends_a_watch_with_an_error() -> None:
    store = onecopy.start("short", capacity="1MiB")
    events = store.watch()
    store.close()
    with pytest.raises(StoreUnavailable, match="died"):
        next(events)
    events.close()


def test_a_watcher_that_does_not_read_loses_events_and_is_told(store: Store) -> None:
    with store.watch(timeout=5) as events:
        for _ in range(4000):
            store.save("a", b"x", overwrite=True)
        kinds = [next(events).kind]
        while kinds[-1] == "saved":
            kinds.append(next(events).kind)
    assert kinds[-1] == "lost"
    assert 1000 <= len(kinds) < 4000
