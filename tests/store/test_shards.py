from __future__ import annotations

import os
import threading
from itertools import pairwise, permutations
from pathlib import Path

import pytest
import torch

import onecopy
from onecopy import EntryExists, EntryNotFound, InvalidArgument, Store, StoreFull, WaitTimeout
from onecopy.store import shards
from onecopy.store.names import HIDDEN
from tests.processes import output_of, script


def save_all(store: Store, size: int, factor: int = 1, **options: object) -> None:
    for rank in range(size):
        store.save("x", torch.full((4,), rank * factor), shard=(rank, size), **options)


def values(parts: list[torch.Tensor]) -> list[int]:
    return [int(part[0]) for part in parts]


def hidden(store: Store) -> list[str]:
    return store.names(HIDDEN)


# ---- saving and loading ----


def test_every_rank_gets_its_own_part_back(store: Store) -> None:
    save_all(store, 3)
    assert [int(store.load("x", shard=(rank, 3))[0]) for rank in range(3)] == [0, 1, 2]


def test_without_a_shard_all_parts_come_in_order(store: Store, client: Store) -> None:
    for rank in (2, 0, 1):
        store.save("x", {"w": torch.full((2,), rank)}, shard=(rank, 3))
    assert [int(part["w"][0]) for part in client.load("x")] == [0, 1, 2]
    store.save("y", b"y")
    (parts, other) = client.load(["x", "y"])
    assert len(parts) == 3
    assert bytes(other) == b"y"


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_it_appears_with_the_last_part_whichever_that_is(
    store: Store, order: tuple[int, ...]
) -> None:
    for rank in order[:-1]:
        store.save("x", rank, shard=(rank, 3))
        assert "x" not in store
        assert store.names() == []
        with pytest.raises(EntryNotFound):
            store.load("x", shard=(rank, 3))
        with pytest.raises(EntryNotFound):
            store.stat("x")
    store.save("x", order[-1], shard=(order[-1], 3))
    assert store.names() == ["x"]
    assert store.load("x") == [0, 1, 2]


def test_one_rank_alone_is_a_list_of_one(store: Store) -> None:
    store.save("x", b"x", shard=(0, 1))
    assert [bytes(part) for part in store.load("x")] == [b"x"]


def test_a_load_waits_for_the_last_part(store: Store) -> None:
    store.save("x", 0, shard=(0, 2))
    with pytest.raises(WaitTimeout):
        store.load("x", shard=(0, 2), timeout=0.01)
    last = threading.Timer(0.1, store.save, ("x", 1), {"shard": (1, 2)})
    last.start()
    assert store.load("x", shard=(1, 2), timeout=30) == 1
    last.join()


def test_processes_save_at_the_same_time(store: Store) -> None:
    code = """
        import sys
        import onecopy
        store = onecopy.connect("test")
        sys.stdin.readline()
        for turn in range(20):
            store.save(f"turn/{turn}", int(sys.argv[1]), shard=(int(sys.argv[1]), 3))
    """
    ranks = [script(code, rank) for rank in range(3)]
    for rank in ranks:
        rank.stdin.write("\n")
        rank.stdin.flush()
    for rank in ranks:
        assert rank.communicate(timeout=60)[1] == ""
    for turn in range(20):
        assert store.load(f"turn/{turn}") == [0, 1, 2]
    assert len(hidden(store)) == 60


def test_a_mutable_value_is_shared_by_default(store: Store, client: Store) -> None:
    save_all(store, 2, mutable=True)
    store.load("x", shard=(1, 2))[0] = 7
    assert int(client.load("x")[1][0]) == 7
    assert int(client.load("x", mode="shared")[1][0]) == 7
    assert store.stat("x").mutable


def test_a_watcher_sees_one_value(store: Store) -> None:
    with store.watch(timeout=0.2) as watch, store.watch(HIDDEN, timeout=0.2) as parts:
        save_all(store, 2)
        store.remove("x")
        assert [(event.kind, event.name) for event in watch] == [("saved", "x"), ("removed", "x")]
        assert len(list(parts)) == 4


# ---- refusals ----


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 0), (0,), [0, 2], 0, (0, 1.0), (True, 2)])
def test_an_impossible_shard_is_refused(store: Store, shard: object) -> None:
    for act in (lambda: store.save("x", b"x", shard=shard), lambda: store.load("x", shard=shard)):
        with pytest.raises(InvalidArgument, match="shard must be"):
            act()
    assert hidden(store) == []


def test_a_ttl_is_refused(store: Store) -> None:
    with pytest.raises(InvalidArgument, match="without a ttl"):
        store.save("x", b"x", shard=(0, 2), ttl=1)


def test_a_name_that_leaves_no_room_is_refused(store: Store) -> None:
    limit = 255 - len(f"{HIDDEN}shards/") - 48
    with pytest.raises(InvalidArgument, match=f"{limit} bytes"):
        store.save("x" * (limit + 1), b"x", shard=(0, 1))
    store.save("x" * limit, b"x", shard=(0, 1))
    assert len(store.load("x" * limit)) == 1


def test_another_number_of_ranks_is_refused(store: Store) -> None:
    save_all(store, 3)
    with pytest.raises(InvalidArgument, match="3 shards, not 2"):
        store.load("x", shard=(0, 2))


def test_a_whole_value_has_no_shards(store: Store) -> None:
    store.save("x", b"x")
    with pytest.raises(InvalidArgument, match="not saved in shards"):
        store.load("x", shard=(0, 1))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_part_that_waits_for_the_others_is_not_replaced(store: Store, overwrite: bool) -> None:
    """Else a fast rank's next part could end up beside a slow rank's previous one."""
    store.save("x", 1, shard=(0, 2), overwrite=overwrite)
    with pytest.raises(EntryExists, match="waits for the others"):
        store.save("x", 2, shard=(0, 2), overwrite=overwrite)
    store.save("x", 1, shard=(1, 2), overwrite=overwrite)
    assert store.load("x") == [1, 1]


def test_a_name_that_is_taken_is_refused_before_anything_is_copied(store: Store) -> None:
    save_all(store, 2)
    with pytest.raises(EntryExists):
        store.save("x", torch.zeros(1 << 30, device="meta"), shard=(0, 2))
    assert values(store.load("x")) == [0, 1]


def test_a_refused_part_leaves_nothing(store: Store) -> None:
    store.save("x", b"x", shard=(0, 2))
    with pytest.raises(StoreFull):
        store.save("x", torch.zeros(1 << 27), shard=(1, 2))
    assert len(hidden(store)) == 1


def test_a_whole_value_that_comes_first_wins(store: Store) -> None:
    store.save("x", 0, shard=(0, 2))
    store.save("x", "whole")
    with pytest.raises(EntryExists):
        store.save("x", 1, shard=(1, 2))
    assert store.load("x") == "whole"


def test_a_name_that_is_taken_meanwhile_is_refused_and_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save("x", 0, shard=(0, 2))
    plain_lock = shards.lock

    def lock_late(store: Store, name: str):
        if "x" not in store:
            store.save("x", "whole")
        return plain_lock(store, name)

    monkeypatch.setattr(shards, "lock", lock_late)
    with pytest.raises(EntryExists, match="by others"):
        store.save("x", 1, shard=(1, 2))
    assert store.load("x") == "whole"
    assert hidden(store) == []


# ---- overwriting ----


def test_a_new_set_replaces_the_old_one_when_it_is_complete(store: Store) -> None:
    save_all(store, 2)
    for rank in range(2):
        assert values(store.load("x")) == [0, 1]
        store.save("x", torch.full((4,), 10 + rank), shard=(rank, 2), overwrite=True)
    assert values(store.load("x")) == [10, 11]
    assert len(hidden(store)) == 2


def test_a_set_of_another_size_replaces_it_too(store: Store) -> None:
    save_all(store, 2)
    store.save("x", b"never completed", shard=(0, 5), overwrite=True)
    save_all(store, 3, 5, overwrite=True)
    assert values(store.load("x")) == [0, 5, 10]
    assert len(hidden(store)) == 3


def test_a_whole_value_replaces_it_and_its_parts(store: Store) -> None:
    save_all(store, 2)
    store.save("x", b"whole", overwrite=True)
    assert bytes(store.load("x")) == b"whole"
    assert hidden(store) == []


def test_it_replaces_a_whole_value(store: Store) -> None:
    store.save("x", b"whole")
    save_all(store, 2, overwrite=True)
    assert values(store.load("x")) == [0, 1]


def test_who_holds_the_old_parts_keeps_them(store: Store) -> None:
    save_all(store, 2)
    held = store.load("x")
    save_all(store, 2, 100, overwrite=True)
    store.remove("x")
    assert values(held) == [0, 1]


def test_a_reader_never_sees_parts_of_two_sets(store: Store, client: Store) -> None:
    """Sets come and go, with names of parts that repeat, while another thread loads."""
    done = threading.Event()

    def publish() -> None:
        for turn in range(60):
            for rank in range(3):
                store.save("x", turn, shard=(rank, 3), overwrite=True)
            if turn % 3 == 0:
                store.remove("x")
        done.set()

    writer = threading.Thread(target=publish)
    writer.start()
    seen = []
    while not done.is_set():
        try:
            parts = client.load("x")
        except EntryNotFound:
            continue
        assert len(set(parts)) == 1, parts
        seen.append(parts[0])
    writer.join()
    assert all(a <= b for a, b in pairwise(seen))


# ---- removing, facts, room ----


def test_removing_takes_the_parts_along(store: Store) -> None:
    save_all(store, 3)
    store.save("y", b"y")
    store.remove(["y", "x"])
    assert store.names() == hidden(store) == []
    with pytest.raises(EntryNotFound):
        store.remove("x")


def test_removing_several_is_all_or_none(store: Store) -> None:
    save_all(store, 2)
    with pytest.raises(EntryNotFound):
        store.remove(["x", "no such"])
    assert values(store.load("x")) == [0, 1]


def test_removing_takes_parts_that_wait_for_others(store: Store) -> None:
    store.save("x", b"x", shard=(0, 2))
    store.remove("x")
    assert hidden(store) == []
    save_all(store, 2)


def test_names_that_continue_each_other_stay_apart(store: Store) -> None:
    for name in ("x", "x/0", "x/0/0-of-2"):
        for rank in range(2):
            store.save(name, name, shard=(rank, 2))
    store.remove("x/0")
    store.remove("x")
    assert store.names() == ["x/0/0-of-2"]
    assert store.load("x/0/0-of-2") == ["x/0/0-of-2"] * 2


def test_facts_are_those_of_all_parts(store: Store) -> None:
    save_all(store, 3)
    entry = store.stat("x")
    assert (entry.name, entry.nbytes, entry.pinned, entry.in_use) == ("x", 96, True, False)
    held = store.load("x", shard=(1, 3))
    assert store.stat("x").in_use
    assert store.stat("x").hits == 1
    del held
    assert store.stat(["x", "y"])[1] is None


def test_it_is_not_evicted_by_halves(store: Store) -> None:
    save_all(store, 2)
    for number in range(20):
        store.save(f"filler/{number}", torch.zeros(8 << 20, dtype=torch.uint8))
        store.save(f"more/{number}", torch.zeros(24 << 20, dtype=torch.uint8))
    assert store.stats().evicted > 0
    assert values(store.load("x")) == [0, 1]


@pytest.mark.parametrize("names", [None, ["x"]])
def test_a_snapshot_has_it_whole(store: Store, tmp_path: Path, names: list[str] | None) -> None:
    save_all(store, 2)
    store.snapshot(tmp_path / "all", names)
    with onecopy.open(tmp_path / "all") as snapshot:
        assert values(snapshot.load("x")) == [0, 1]
        assert snapshot.names() == ["x"]


def test_a_file_has_the_list_of_its_parts(store: Store, tmp_path: Path) -> None:
    save_all(store, 2)
    store.snapshot(tmp_path / "x.safetensors", "x")
    with onecopy.open(tmp_path / "x.safetensors") as snapshot:
        assert values(snapshot.load("x")) == [0, 1]


def test_a_part_removed_behind_its_back_is_noticed(store: Store) -> None:
    save_all(store, 2)
    store.remove(hidden(store)[0])
    with pytest.raises(EntryNotFound, match="hidden name"):
        store.load("x")
    store.remove("x")
    assert hidden(store) == []


# ---- crashes ----


def test_a_rank_that_dies_before_it_publishes_is_made_up_for(store: Store) -> None:
    store.save("x", 0, shard=(0, 2))
    code = """
        import os
        import onecopy
        from onecopy.store import shards
        shards.lock = lambda store, name: os.kill(os.getpid(), 9)
        onecopy.connect("test").save("x", 1, shard=(1, 2))
    """
    with script(code) as process:
        process.communicate(timeout=60)
    assert "x" not in store
    assert len(hidden(store)) == 2
    with pytest.raises(EntryExists):
        store.save("x", 1, shard=(1, 2))
    assert store.load("x") == [0, 1]


def test_a_rank_that_dies_while_it_holds_the_lock_stops_nobody(store: Store) -> None:
    code = """
        import os
        import onecopy
        from onecopy.store import shards
        shards.find = lambda store, name: os.kill(os.getpid(), 9)
        onecopy.connect("test").save("x", 0, shard=(0, 2))
    """
    with script(code) as process:
        process.communicate(timeout=60)
    save_all(store, 2)
    assert values(store.load("x")) == [0, 1]


def test_the_saver_may_be_gone_when_the_value_is_complete(store: Store) -> None:
    code = """
        import onecopy
        onecopy.connect("test").save("x", b"0", shard=(0, 2))
    """
    output_of(code)
    store.save("x", b"1", shard=(1, 2))
    assert [bytes(part) for part in store.load("x")] == [b"0", b"1"]


def test_a_forked_rank_saves_with_the_handle_it_inherited(store: Store) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            store.save("x", b"1", shard=(1, 2))
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    store.save("x", b"0", shard=(0, 2))
    assert [bytes(part) for part in store.load("x")] == [b"0", b"1"]


def test_a_reader_of_a_restarted_store_sees_no_half(direct: bool) -> None:
    with onecopy.start("again", capacity="1MiB", direct=direct) as store:
        store.save("x", 0, shard=(0, 2))
    with onecopy.start("again", capacity="1MiB", direct=direct) as store:
        store.save("x", 1, shard=(1, 2))
        assert "x" not in store
