from __future__ import annotations

import threading

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException

from onecopy import CorruptEntry, EntryNotFound, Store, UnsupportedValue, WaitTimeout
from onecopy.distributed import StoreReader, StoreWriter, remove
from tests.distributed.conftest import cause

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.distributed is")


class Executes:
    def __reduce__(self):
        return exec, ("raise AssertionError('code was run')",)


class Opened(StoreReader):
    """Does something once the checkpoint is open."""

    def then(self, act) -> Opened:
        self.act = act
        return self

    def read_data(self, plan, planner):
        self.act()
        return super().read_data(plan, planner)


def test_no_checkpoint_says_so(load) -> None:
    with pytest.raises(CheckpointException) as caught:
        load({"w": torch.zeros(1)})
    assert "no entry 'c/.metadata'" in str(cause(caught))


def test_a_reader_waits_for_a_checkpoint(store: Store, save, load) -> None:
    with pytest.raises(WaitTimeout):
        StoreReader(store, "c", timeout=0.01).read_metadata()
    saving = threading.Timer(0.1, save, ({"w": torch.ones(2)},))
    saving.start()
    assert load({"w": torch.zeros(2)}, StoreReader(store, "c", timeout=30))["w"].sum() == 2
    saving.join()


def test_a_checkpoint_that_is_replaced_while_it_is_loaded_stays_whole(
    store: Store, save, load
) -> None:
    save({"w": torch.ones(4)})
    reader = Opened(store, "c").then(lambda: save({"w": torch.zeros(4)}, overwrite=True))
    assert load({"w": torch.zeros(4)}, reader)["w"].equal(torch.ones(4))


def test_a_checkpoint_that_is_removed_while_it_is_loaded_stays_whole(
    store: Store, save, load
) -> None:
    save({"w": torch.ones(4)})
    reader = Opened(store, "c").then(lambda: remove(store, "c"))
    assert load({"w": torch.zeros(4)}, reader)["w"].equal(torch.ones(4))
    assert store.names() == []


def test_a_checkpoint_replaced_between_metadata_and_parts_is_read_anew(
    store: Store, save, load, monkeypatch
) -> None:
    save({"w": torch.ones(4)})
    plain_load, replaced = store.load, []

    def load_and_replace(name, **options):
        value = plain_load(name, **options)
        if name == "c/.metadata" and not replaced:
            replaced.append(name)
            save({"w": torch.full((4,), 2.0)}, overwrite=True)
        return value

    monkeypatch.setattr(store, "load", load_and_replace)
    assert load({"w": torch.zeros(4)})["w"].equal(torch.full((4,), 2.0))


def test_ranks_that_opened_different_checkpoints_are_told(store: Store, save) -> None:
    readers = []
    for factor in (1, 2):
        save({"w": torch.ones(4) * factor}, overwrite=True)
        readers.append(StoreReader(store, "c"))
        readers[-1].read_metadata()
    plans = [reader.prepare_local_plan(dcp.LoadPlan([])) for reader in readers]
    assert readers[0].prepare_global_plan(plans[:1]) == plans[:1]
    with pytest.raises(EntryNotFound, match="load it again"):
        readers[0].prepare_global_plan(plans)


def test_a_checkpoint_without_one_of_its_parts_says_so(store: Store, save) -> None:
    save({"w": torch.ones(4)})
    store.remove(store.names("c/.part-"))
    with pytest.raises(EntryNotFound, match="evicted or removed"):
        StoreReader(store, "c").read_metadata()


def test_parts_are_mapped_and_let_go_after_the_load(store: Store, save, load) -> None:
    save({"w": torch.ones(4)})
    reader = StoreReader(store, "c")
    (part,) = store.names("c/.part-")
    load({"w": torch.zeros(4)}, Opened(store, "c").then(lambda: check(store, part, True)))
    load({"w": torch.zeros(4)}, reader)
    check(store, part, False)


def check(store: Store, part: str, in_use: bool) -> None:
    assert store.stat(part).in_use is in_use


def test_an_object_that_would_run_code_is_refused(save, load) -> None:
    save({"x": Executes()})
    with pytest.raises(CheckpointException) as caught:
        load({"x": None})
    assert isinstance(cause(caught), UnsupportedValue)
    assert "add_safe_globals" in str(cause(caught))


def test_another_shape_than_the_saved_one_is_refused(save, load) -> None:
    save({"w": torch.ones(4)})
    with pytest.raises(BaseException, match=r"(?i)size"):
        load({"w": torch.zeros(5)})


def test_a_place_that_does_not_exist_is_refused(store: Store, save, load) -> None:
    save({"w": torch.ones(4)})
    tree = store.load("c/.metadata")
    for places in ([], [["w", [0], 7, 0]], [["w", [0], 0, 7]], [["w", [0], "x", 0]]):
        store.save("c/.metadata", {**tree, "places": places}, overwrite=True)
        with pytest.raises(CheckpointException) as caught:
            load({"w": torch.zeros(4)})
        assert isinstance(cause(caught), CorruptEntry)


def test_the_whole_checkpoint_can_be_loaded_without_a_state_dict(store: Store) -> None:
    from torch.distributed.checkpoint.state_dict_loader import _load_state_dict_from_keys

    state = {"model": {"w": torch.arange(3.0)}, "step": 4}
    dcp.save(state, storage_writer=StoreWriter(store, "c"))
    loaded = _load_state_dict_from_keys(storage_reader=StoreReader(store, "c"))
    assert loaded["model"]["w"].equal(torch.arange(3.0))
    assert loaded["step"] == 4
