from __future__ import annotations

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException

from onecopy import EntryExists, EntryNotFound, InvalidArgument, Store, StoreFull
from onecopy.distributed import StoreReader, StoreWriter, writer
from tests.distributed.conftest import cause

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.distributed is")


def ones(factor: float = 1) -> dict[str, torch.Tensor]:
    return {"w": torch.ones(4, 4) * factor}


def test_what_is_saved_is_loaded(save, load) -> None:
    save({"w": torch.arange(6.0).reshape(2, 3).T, "step": 3, "nested": {"x": [torch.ones(2), "y"]}})
    target = {"w": torch.zeros(3, 2), "step": 0, "nested": {"x": [torch.zeros(2), ""]}}
    loaded = load(target)
    assert loaded["w"].equal(torch.arange(6.0).reshape(2, 3).T)
    assert loaded["step"] == 3
    assert loaded["nested"]["x"][0].equal(torch.ones(2))
    assert loaded["nested"]["x"][1] == "y"


def test_a_second_save_is_refused_and_changes_nothing(store: Store, save, load) -> None:
    save(ones())
    before = store.names()
    with pytest.raises(CheckpointException) as caught:
        save(ones(2))
    assert isinstance(cause(caught), EntryExists)
    assert store.names() == before
    assert load(ones(0))["w"].equal(torch.ones(4, 4))


def test_overwriting_replaces_the_checkpoint_and_its_parts(store: Store, save, load) -> None:
    save(ones())
    save(ones(2), overwrite=True)
    assert len(store.names()) == 2
    assert load(ones(0))["w"].equal(torch.ones(4, 4) * 2)


def test_a_failed_save_leaves_nothing(store: Store, save) -> None:
    with pytest.raises(CheckpointException) as caught:
        save({"w": torch.ones(4, 4), "large": torch.zeros(1 << 25)})
    assert isinstance(cause(caught), StoreFull)
    assert store.names() == []


def test_parts_saved_before_one_that_fails_are_removed(store: Store, save, monkeypatch) -> None:
    monkeypatch.setattr(writer, "_PART_BYTES", 64)
    with pytest.raises(CheckpointException):
        save({"a": torch.ones(4, 4), "b": torch.ones(4, 4), "large": torch.zeros(1 << 25)})
    assert store.names() == []


def test_a_large_rank_saves_several_parts(store: Store, save, load, monkeypatch) -> None:
    monkeypatch.setattr(writer, "_PART_BYTES", 100)
    state = {f"w{n}": torch.full((5,), float(n)) for n in range(12)}
    save(state)
    assert len(store.names("c/.part-")) == 3
    loaded = load({name: torch.zeros(5) for name in state})
    assert all(loaded[name].equal(state[name]) for name in state)


def test_a_save_that_another_one_overtakes_is_refused(store: Store, save, load) -> None:
    class Overtaken(StoreWriter):
        def write_data(self, plan, planner):
            written = super().write_data(plan, planner)
            save(ones(2))
            return written

    with pytest.raises(CheckpointException) as caught:
        dcp.save(ones(), storage_writer=Overtaken(store, "c"))
    assert isinstance(cause(caught), EntryNotFound)
    assert len(store.names()) == 2
    assert load(ones(0))["w"].equal(torch.ones(4, 4) * 2)


def test_a_checkpoint_is_not_evicted(store: Store, save, load) -> None:
    save(ones())
    for number in range(8):
        store.save(f"filler/{number}", torch.zeros(3 << 20))
    assert load(ones(0))["w"].equal(torch.ones(4, 4))


def test_ranks_that_do_not_coordinate_are_refused(store: Store) -> None:
    with pytest.raises(InvalidArgument, match="use_collectives=True"):
        StoreWriter(store, "c").set_up_storage_writer(True, rank=0, use_collectives=False)


def test_a_checkpoint_id_is_another_prefix(store: Store, load) -> None:
    dcp.save(ones(3), storage_writer=StoreWriter(store, "x"), checkpoint_id="c")
    assert all(name.startswith("c/") for name in store.names())
    target = ones(0)
    dcp.load(target, storage_reader=StoreReader(store, "x"), checkpoint_id="c")
    assert target["w"].equal(ones(3)["w"])


def test_a_model_under_training_is_saved_as_it_is_now(save, load) -> None:
    model = torch.nn.Linear(3, 3)
    before = model.weight.detach().clone()
    save(model.state_dict())
    with torch.no_grad():
        model.weight += 1
    assert load({name: torch.zeros_like(value) for name, value in model.state_dict().items()})[
        "weight"
    ].equal(before)


def test_an_asynchronous_save_appears_when_its_future_is_done(store: Store, load) -> None:
    future = dcp.async_save(ones(5), storage_writer=StoreWriter(store, "c"))
    future.result(timeout=60)
    assert load(ones(0))["w"].equal(ones(5)["w"])
