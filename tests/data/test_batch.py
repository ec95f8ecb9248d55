from __future__ import annotations

import pickle

import pytest
import torch

from onecopy import EntryNotFound, Store
from onecopy.data import BatchRef, StoreCollate
from onecopy.data.batch import discard_all, discard_arrived


def arrived(name: str) -> BatchRef:
    return pickle.loads(pickle.dumps(BatchRef(name)))


def test_a_reference_is_tiny(store: Store) -> None:
    assert len(pickle.dumps(BatchRef(f"{StoreCollate(store).folder}{'0' * 16}"))) < 150


def test_taking_a_batch_removes_its_name(store: Store) -> None:
    store.save("b", torch.arange(3))
    ref = arrived("b")
    batch = ref.take(store)
    assert store.names() == []
    assert batch.tolist() == [0, 1, 2]
    with pytest.raises(EntryNotFound, match="ttl="):
        ref.take(store)


def test_what_arrived_and_was_not_taken_is_discarded(store: Store) -> None:
    for name in ("a/1", "a/2", "b/1", "a/3"):
        store.save(name, b"x")
    refs = [arrived(name) for name in ("a/1", "a/2", "b/1")]
    refs[0].take(store)
    discard_arrived(store, "a/")
    assert store.names() == ["a/3", "b/1"]
    discard_all(store, "a/")
    discard_all(store, "b/")
    assert store.names() == []


def test_discarding_from_a_store_that_is_gone_is_no_error(store: Store) -> None:
    store.save("a/1", b"x")
    arrived("a/1")
    store.close()
    discard_all(store, "a/")


def test_outside_of_workers_a_batch_is_itself(store: Store) -> None:
    batch = StoreCollate(store)([torch.ones(2), torch.zeros(2)])
    assert batch.tolist() == [[1, 1], [0, 0]]
    assert store.names() == []


def test_every_collate_has_a_folder_of_its_own(store: Store) -> None:
    assert StoreCollate(store).folder != StoreCollate(store).folder
