from __future__ import annotations

import gc
import os
import time

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader as Plain

import onecopy
from onecopy import InvalidArgument, Store, UnsupportedValue
from onecopy.data import DataLoader, StoreDataset
from onecopy.store.names import HIDDEN
from tests.data.samples import Failing, Killed, Odds, Rows, Stream, first, pid, stacked
from tests.processes import output_of, script

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


@pytest.fixture
def store():
    with onecopy.start("test", capacity="64MiB") as store:
        yield store


def left(store: Store) -> list[str]:
    gc.collect()
    return store.names(HIDDEN)


def numbers(batches: object) -> list[int]:
    return [int(number) for batch in batches for number in batch["number"]]


METHODS = {
    "none": {"num_workers": 0},
    "fork": {"num_workers": 2, "multiprocessing_context": "fork"},
    # One, which imports torch anew; what two do with each other, those that are forked show.
    "spawn": {"num_workers": 1, "multiprocessing_context": "spawn"},
}


@pytest.mark.parametrize("method", METHODS)
def test_batches_are_those_of_the_plain_loader(store: Store, method: str) -> None:
    ours = list(DataLoader(Rows(), store=store, batch_size=5, **METHODS[method]))
    theirs = list(Plain(Rows(), batch_size=5))
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.keys() == other.keys()
        assert mine["text"] == other["text"]
        for key in ("row", "array", "number"):
            assert mine[key].equal(other[key])
            assert mine[key].dtype == other[key].dtype
    assert left(store) == []


@pytest.mark.parametrize("method", METHODS)
def test_an_iterable_data_set_works(store: Store, method: str) -> None:
    batches = DataLoader(Stream(), store=store, batch_size=2, **METHODS[method])
    assert sorted(int(row[0]) for batch in batches for row in batch) == list(range(12))
    assert left(store) == []


def test_samples_without_batches_work(store: Store) -> None:
    loader = DataLoader(Rows(3), store=store, batch_size=None, num_workers=1)
    assert [int(sample["row"][0]) for sample in loader] == [0, 1, 2]


def test_a_collate_function_of_ones_own_works(store: Store) -> None:
    loader = DataLoader(Rows(4), store=store, batch_size=2, num_workers=1, collate_fn=stacked)
    for array, buffer in loader:
        assert isinstance(array, np.ndarray)
        assert array.shape == (2, 4)
        assert bytes(buffer) == b"\0\0"


def test_batches_come_from_the_store_and_stay_when_it_is_gone(store: Store) -> None:
    loader = DataLoader(Rows(), store=store, batch_size=6, num_workers=2)
    batches = iter(loader)
    batch = next(batches)
    assert store.stats().lingering > 0
    del batches
    store.close()
    assert batch["row"][:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_batch_may_be_written_to(store: Store) -> None:
    for batch in DataLoader(Rows(), store=store, batch_size=6, num_workers=1):
        batch["row"] += 1


def test_workers_make_the_batches(store: Store) -> None:
    loader = DataLoader(Rows(2), store=store, num_workers=1, collate_fn=pid)
    assert os.getpid() not in set(loader)


# ---- epochs ----


@pytest.mark.parametrize("persistent", [False, True])
def test_every_epoch_is_complete(store: Store, persistent: bool) -> None:
    loader = DataLoader(
        Rows(), store=store, batch_size=4, num_workers=2, persistent_workers=persistent
    )
    for _ in range(3):
        assert numbers(loader) == list(range(12))
    assert left(store) == []


@pytest.mark.parametrize("persistent", [False, True])
def test_an_epoch_that_ends_early_leaves_nothing(store: Store, persistent: bool) -> None:
    loader = DataLoader(
        Rows(100), store=store, num_workers=2, prefetch_factor=4, persistent_workers=persistent
    )
    for _ in range(3):
        for batch in loader:
            assert int(batch["number"]) == 0
            break
    assert numbers(loader) == list(range(100))
    assert left(store) == []
    for _ in loader:
        break
    del loader, _
    assert left(store) == []


def test_persistent_workers_stay_until_the_loader_is_closed(store: Store) -> None:
    loader = DataLoader(
        Rows(4), store=store, num_workers=1, persistent_workers=True, collate_fn=pid
    )
    (worker,) = set(loader)
    assert set(loader) == {worker}
    loader.close()
    loader.close()
    assert worker not in set(loader)
    loader.close()


def test_two_loops_over_one_loader_do_not_disturb_each_other(store: Store) -> None:
    loader = DataLoader(Rows(3), store=store, num_workers=1)
    pairs = [(int(a["number"]), int(b["number"])) for a in loader for b in loader]
    assert pairs == [(a, b) for a in range(3) for b in range(3)]
    assert left(store) == []


def test_a_loop_that_was_never_run_leaves_nothing(store: Store) -> None:
    batches = iter(DataLoader(Rows(), store=store, num_workers=2))
    deadline = time.monotonic() + 30
    while not store.names(HIDDEN):
        assert time.monotonic() < deadline, "the workers did not begin"
        time.sleep(0.01)
    del batches
    assert left(store) == []


# ---- failures ----


def test_pinned_memory_is_refused(store: Store) -> None:
    with pytest.raises(InvalidArgument, match="pin_memory"):
        DataLoader(Rows(), store=store, pin_memory=True)


@pytest.mark.parametrize("persistent", [False, True])
def test_an_exception_in_a_worker_arrives_and_leaves_nothing(
    store: Store, persistent: bool
) -> None:
    loader = DataLoader(
        Failing(), store=store, batch_size=2, num_workers=2, persistent_workers=persistent
    )
    with pytest.raises(ZeroDivisionError, match="sample 5"):
        list(loader)
    loader.close()
    assert left(store) == []


def test_a_killed_worker_is_an_error_and_leaves_nothing(store: Store) -> None:
    loader = DataLoader(Killed(), store=store, batch_size=2, num_workers=2)
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        list(loader)
    assert left(store) == []


def test_what_cannot_be_stored_is_an_error_that_says_so(store: Store) -> None:
    with pytest.raises(UnsupportedValue, match="Odd"):
        list(DataLoader(Odds(), store=store, num_workers=1, collate_fn=first))


def test_a_store_that_is_too_small_says_so(store: Store) -> None:
    with onecopy.start("small", capacity="20KiB") as small:
        with pytest.raises(onecopy.StoreFull, match="capacity"):
            list(DataLoader(Rows(), store=small, num_workers=1))
        assert left(small) == []


def test_batches_are_not_evicted_before_they_arrive(store: Store) -> None:
    batches = iter(DataLoader(Rows(), store=store, num_workers=2))
    assert int(next(batches)["number"]) == 0
    for number in range(8):
        store.save(f"filler/{number}", torch.zeros(5 << 20))
    assert store.stats().evicted > 0
    assert numbers(batches) == list(range(1, 12))


PROGRAM = """
    import os, sys
    import onecopy
    from onecopy.data import DataLoader
    from tests.data.samples import Rows

    store = onecopy.connect("test")
    loader = DataLoader(Rows(), store=store, num_workers=2, ttl=0.5, persistent_workers=True)
    # A batch of each worker: one that has not begun when its parent dies never hears of it (torch).
    for _ in zip(range(2), loader):
        pass
    print("ready", flush=True)
"""


def test_a_program_that_ends_amid_a_loop_leaves_nothing(store: Store) -> None:
    assert output_of(PROGRAM) == "ready"
    assert left(store) == []


def test_what_a_killed_program_leaves_goes_with_its_ttl(store: Store) -> None:
    with script(PROGRAM + "    os.kill(os.getpid(), 9)") as process:
        process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while store.names(HIDDEN):
        assert time.monotonic() < deadline, store.names(HIDDEN)
        time.sleep(0.05)


# ---- data sets in the store ----


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_samples_and_batches_may_share_a_store(store: Store, method: str) -> None:
    for number in range(12):
        store.save(f"sample/{number:02}", torch.full((4,), float(number)))
    loader = DataLoader(
        StoreDataset(store, "sample/"), store=store, batch_size=4, **METHODS[method]
    )
    assert torch.cat(list(loader))[:, 0].tolist() == list(range(12))
    assert left(store) == []
    assert len(store.names()) == 12
