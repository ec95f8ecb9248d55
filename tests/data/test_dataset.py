from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from onecopy import EntryNotFound, Store
from onecopy.data import StoreDataset

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


def fill(store: Store, count: int = 6) -> None:
    for number in range(count):
        store.save(f"s/{number}", {"x": torch.full((2,), number), "y": np.int64(number)})
    store.save("other", b"x")


def test_a_prefix_is_all_there_is_in_order(store: Store) -> None:
    fill(store)
    samples = StoreDataset(store, "s/")
    assert len(samples) == 6
    assert [int(samples[index]["y"]) for index in range(6)] == list(range(6))


def test_names_keep_their_order_and_may_repeat(store: Store) -> None:
    fill(store)
    samples = StoreDataset(store, ["s/3", "s/1", "s/3"])
    assert [int(sample["y"]) for sample in samples.__getitems__([0, 1, 2])] == [3, 1, 3]


def test_an_index_too_large_ends_an_iteration(store: Store) -> None:
    fill(store)
    assert len(list(StoreDataset(store, "s/"))) == 6
    with pytest.raises(IndexError):
        StoreDataset(store, "s/")[6]


def test_a_sample_that_is_gone_says_so(store: Store) -> None:
    fill(store)
    samples = StoreDataset(store, "s/")
    store.remove("s/2")
    with pytest.raises(EntryNotFound, match="s/2"):
        samples[2]


def test_it_pickles_small_and_connects_anew(store: Store) -> None:
    fill(store)
    packed = pickle.dumps(StoreDataset(store, "s/", mode="readonly"))
    assert len(packed) < 500
    copy = pickle.loads(packed)
    assert copy[1]["x"].tolist() == [1, 1]
    copy.store.close()


@pytest.mark.parametrize(("method", "count"), [("spawn", 1), ("fork", 2)])
def test_workers_read_it(store: Store, method: str, count: int) -> None:
    fill(store)
    loader = DataLoader(
        StoreDataset(store, "s/"), batch_size=2, num_workers=count, multiprocessing_context=method
    )
    assert torch.cat([batch["x"] for batch in loader])[:, 0].tolist() == list(range(6))
