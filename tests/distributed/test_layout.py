from __future__ import annotations

import pytest
import torch

from onecopy import EntryNotFound, InvalidArgument, Store
from onecopy.distributed import layout, remove

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.distributed is")


def test_removing_takes_the_checkpoint_and_unfinished_parts(store: Store, save) -> None:
    save({"w": torch.ones(2)})
    store.save(layout.new_part_name("c"), [torch.ones(2)])
    remove(store, "c")
    assert store.names() == []


def test_removing_nothing_says_so(store: Store) -> None:
    with pytest.raises(EntryNotFound, match="no checkpoint 'c'"):
        remove(store, "c")


def test_other_checkpoints_and_entries_stay(store: Store, save) -> None:
    others = ["c", "c/w", "c2/.metadata", layout.new_part_name("c/d"), layout.new_part_name("c2")]
    for name in others:
        store.save(name, b"x")
    save({"w": torch.ones(2)})
    remove(store, "c")
    assert store.names() == sorted(others)


def test_sweeping_spares_what_is_published(store: Store, save, load) -> None:
    save({"w": torch.ones(2)})
    store.save(layout.new_part_name("c"), [torch.ones(2)])
    with layout.lock(store, "c"):
        layout.sweep(store, "c")
    assert len(store.names()) == 2
    assert load({"w": torch.zeros(2)})["w"].sum() == 2


@pytest.mark.parametrize("prefix", ["", "x" * 233, "é" * 120])
def test_a_prefix_that_leaves_no_room_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidArgument, match="1 to 232 bytes"):
        layout.check_prefix(prefix)


def test_the_longest_prefix_works(store: Store) -> None:
    prefix = layout.check_prefix("x" * 232)
    store.save(layout.new_part_name(prefix), b"x")
    store.save(layout.metadata_name(prefix), b"x")
