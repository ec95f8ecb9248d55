from __future__ import annotations

import gc
import pickle
import time
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import onecopy
from onecopy import (
    EntryExists,
    EntryNotFound,
    InvalidArgument,
    Store,
    StoreClosed,
    StoreFull,
    UnsupportedValue,
    WaitTimeout,
)

MIB = 1 << 20


class TestSaveAndLoad:
    def test_a_saved_value_is_loaded_by_another_handle(self, store: Store, client: Store) -> None:
        value = {"w": torch.randn(3, 4), "n": [1, "two", None], "a": np.arange(3)}
        store.save("model", value)
        loaded = client.load("model")
        assert torch.equal(loaded["w"], value["w"])
        assert loaded["n"] == value["n"]
        assert loaded["a"].tolist() == [0, 1, 2]

    @pytest.mark.parametrize("nbytes", [1, 1024, MIB - 1, MIB, 3 * MIB + 1])
    def test_any_size_is_saved(self, store: Store, client: Store, nbytes: int) -> None:
        value = torch.randint(0, 256, (nbytes,), dtype=torch.uint8)
        store.save("value", value)
        assert torch.equal(client.load("value"), value)

    def test_what_the_saver_writes_later_stays_its_own(self, store: Store) -> None:
        value = torch.zeros(1000)
        store.save("value", value)
        value.fill_(1)
        assert store.load("value").eq(0).all()

    def test_a_long_spec_is_read_from_the_segment(self, store: Store, client: Store) -> None:
        value = {f"layer.{i}": torch.full((2,), i) for i in range(200)}
        store.save("value", value)
        loaded = client.load("value")
        assert all(loaded[f"layer.{i}"].eq(i).all() for i in range(200))

    def test_a_name_of_255_bytes_and_any_character_works(self, store: Store) -> None:
        for name in ("x" * 255, "ü" * 127, "a/b/../c", " ", "\n", "🧠/weights"):
            store.save(name, b"value")
            assert bytes(store.load(name)) == b"value"
            assert name in store

    @pytest.mark.parametrize("name", ["", "x" * 256, "ü" * 128, "a\0b", "\ud800", 5, None, b"a"])
    def test_a_bad_name_is_refused(self, store: Store, name) -> None:
        with pytest.raises(InvalidArgument, match=r"name|Unicode"):
            store.save(name, b"value")

    def test_a_taken_name_is_refused_and_the_entry_stays(self, store: Store) -> None:
        store.save("value", b"old")
        for value in (b"new", bytes(2 * MIB)):
            with pytest.raises(EntryExists, match="overwrite=True"):
                store.save("value", value)
        assert bytes(store.load("value")) == b"old"

    def test_overwriting_replaces_the_value_and_holders_keep_theirs(self, store: Store) -> None:
        store.save("value", b"old")
        held = store.load("value")
        store.save("value", b"new", overwrite=True)
        assert bytes(held) == b"old"
        assert bytes(store.load("value")) == b"new"

    def test_overwriting_what_does_not_exist_saves_it(self, store: Store) -> None:
        store.save("value", b"new", overwrite=True)
        assert bytes(store.load("value")) == b"new"

    def test_an_unsupported_value_leaves_nothing_behind(self, store: Store) -> None:
        with pytest.raises(UnsupportedValue, match=r"'a\.1'"):
            store.save("value", {"a": [torch.ones(3), object()]})
        assert store.names() == []
        assert store.stats().used == 0

    def test_tensors_begin_at_the_alignment_asked_for(self, store: Store) -> None:
        store.save("value", [torch.ones(3), torch.ones(5)], align=4096)
        assert all(each.data_ptr() % 4096 == 0 for each in store.load("value"))

    @pytest.mark.parametrize("align", [0, 1, 63, 65, -64, 1 << 22, 64.0])
    def test_a_bad_alignment_is_refused(self, store: Store, align) -> None:
        with pytest.raises(InvalidArgument, match="align"):
            store.save("value", b"x", align=align)

    def test_progress_counts_all_bytes(self, store: Store) -> None:
        counts: list[int] = []
        store.save("value", [torch.ones(1000), torch.ones(100, 100)[:, 1]], progress=counts.append)
        assert sum(counts) == store.stat("value").nbytes == 4400


class TestModes:
    def test_private_writes_reach_neither_the_store_nor_a_later_load(self, store: Store) -> None:
        store.save("value", torch.zeros(5000))
        first = store.load("value")
        first.fill_(1)
        assert store.load("value").eq(0).all()
        assert first.eq(1).all()

    def test_writes_to_a_mutable_entry_are_seen_by_all(self, store: Store, client: Store) -> None:
        store.save("value", torch.zeros(5), mutable=True)
        theirs = client.load("value")
        store.load("value")[2] = 7
        assert theirs[2] == 7
        assert client.load("value", mode="readonly")[2] == 7

    def test_a_private_load_of_a_mutable_entry_is_a_copy_on_write(self, store: Store) -> None:
        store.save("value", torch.zeros(5), mutable=True)
        mine = store.load("value", mode="private")
        mine[0] = 1
        assert store.load("value")[0] == 0

    def test_an_immutable_entry_cannot_be_loaded_shared(self, store: Store) -> None:
        store.save("value", torch.zeros(5))
        with pytest.raises(InvalidArgument, match="mutable=True"):
            store.load("value", mode="shared")

    def test_an_unknown_mode_is_refused(self, store: Store) -> None:
        store.save("value", torch.zeros(5))
        with pytest.raises(InvalidArgument, match="private, readonly, shared"):
            store.load("value", mode="rw")

    @pytest.mark.parametrize("mode", ["readonly", "shared"])
    def test_repeated_loads_alias_and_see_overwrites(self, store: Store, mode) -> None:
        store.save("value", torch.zeros(5), mutable=mode == "shared")
        first, second = (store.load("value", mode=mode) for _ in range(2))
        assert first is not second
        assert first.data_ptr() == second.data_ptr()
        store.save("value", torch.ones(5), mutable=mode == "shared", overwrite=True)
        assert store.load("value", mode=mode).eq(1).all()
        assert first.eq(0).all()

    def test_a_repeated_load_of_a_tree_aliases(self, store: Store) -> None:
        store.save("value", {"a": torch.zeros(5), "b": np.zeros(3)})
        first, second = (store.load("value", mode="readonly") for _ in range(2))
        assert first["a"].data_ptr() == second["a"].data_ptr()

    def test_a_repeated_load_keeps_nothing_alive(self, store: Store) -> None:
        store.save("value", torch.zeros(5))
        first = store.load("value", mode="readonly")
        assert store.stat("value").in_use
        del first
        gc.collect()
        assert not store.stat("value").in_use


class TestWaiting:
    def test_a_missing_entry_is_a_key_error(self, store: Store) -> None:
        with pytest.raises(EntryNotFound, match="no entry 'x'"):
            store.load("x")
        with pytest.raises(KeyError):
            store.load("x")

    def test_waiting_in_vain_is_a_timeout_error(self, store: Store) -> None:
        with pytest.raises(WaitTimeout, match=r"within 0\.01 s"):
            store.load("x", timeout=0.01)
        with pytest.raises(TimeoutError):
            store.load("x", timeout=0.01)

    @pytest.mark.parametrize("timeout", [-1, 60])
    def test_a_load_waits_for_what_is_saved_later(
        self, store: Store, client: Store, timeout: float
    ) -> None:
        results: list[bytes] = []
        waiter = Thread(target=lambda: results.append(bytes(client.load("x", timeout=timeout))))
        waiter.start()
        store.save("y", b"other")
        store.save("x", b"value")
        waiter.join()
        assert results == [b"value"]

    def test_several_names_are_loaded_in_order(self, store: Store) -> None:
        for name in "abc":
            store.save(name, name.encode())
        assert [bytes(each) for each in store.load(["b", "c", "a", "b"])] == [
            b"b",
            b"c",
            b"a",
            b"b",
        ]
        assert store.load([]) == []

    def test_several_names_share_one_deadline(self, store: Store, client: Store) -> None:
        store.save("a", b"a")
        with pytest.raises(WaitTimeout, match="'b'"):
            client.load(["a", "b", "c"], timeout=0.01)

    def test_several_names_are_waited_for(self, store: Store, client: Store) -> None:
        results: list[list[bytes]] = []
        names = [f"n{i}" for i in range(600)]
        waiter = Thread(target=lambda: results.append(client.load(names, timeout=60)))
        waiter.start()
        for name in reversed(names):
            store.save(name, name.encode())
        waiter.join()
        assert [bytes(each).decode() for each in results[0]] == names

    def test_one_missing_name_among_several_is_named(self, store: Store) -> None:
        store.save("a", b"a")
        with pytest.raises(EntryNotFound, match="'b'"):
            store.load(["a", "b"])

    @pytest.mark.parametrize("timeout", [-2, float("nan"), "5"])
    def test_a_bad_timeout_is_refused(self, store: Store, timeout) -> None:
        with pytest.raises(InvalidArgument, match="timeout"):
            store.load("x", timeout=timeout)

    def test_a_handle_is_good_after_many_waits_in_vain(self, store: Store) -> None:
        for _ in range(100):
            with pytest.raises(WaitTimeout):
                store.load("x", timeout=0.0001)
        store.save("x", b"value")
        assert bytes(store.load("x", timeout=1)) == b"value"
        assert store.stats().clients <= 3


class TestNames:
    def test_names_are_sorted_and_filtered(self, store: Store, client: Store) -> None:
        for name in ("b", "a/2", "a/1", "ü"):
            store.save(name, b"x")
        assert client.names() == ["a/1", "a/2", "b", "ü"]
        assert client.names("a/") == ["a/1", "a/2"]
        assert client.names("nothing") == []

    def test_contains_says_what_exists(self, store: Store, client: Store) -> None:
        store.save("a", b"x")
        assert client.contains("a")
        assert "a" in client
        assert "b" not in client
        assert 5 not in client

    def test_a_removed_name_is_free_at_once_and_holders_keep_their_value(
        self, store: Store, client: Store
    ) -> None:
        store.save("a", torch.ones(3))
        held = client.load("a")
        store.remove("a")
        assert "a" not in client
        with pytest.raises(EntryNotFound):
            client.load("a")
        store.save("a", torch.zeros(3))
        assert held.eq(1).all()
        assert client.load("a").eq(0).all()

    def test_removing_several_removes_all_or_none(self, store: Store) -> None:
        store.save("a", b"x")
        store.save("b", b"x")
        with pytest.raises(EntryNotFound, match="'c'"):
            store.remove(["a", "c", "b"])
        assert store.names() == ["a", "b"]
        store.remove(["a", "b", "a"])
        assert store.names() == []

    def test_thousands_of_names_outgrow_the_index(self, store: Store, client: Store) -> None:
        names = [f"entry/{i}" for i in range(3000)]
        for name in names:
            store.save(name, name.encode())
        assert client.names() == sorted(names)
        assert all(bytes(client.load(name)).decode() == name for name in names[::97])
        store.remove(names[:2500])
        assert len(client.names()) == 500

    def test_saving_and_removing_for_ever_needs_no_more_room(self, store: Store) -> None:
        for i in range(3000):
            store.save(f"entry/{i}", b"x")
            store.remove(f"entry/{i}")
        assert store.names() == []
        assert store.stats().used == 0


class TestStat:
    def test_stat_tells_the_facts(self, store: Store) -> None:
        before = time.time()
        store.save("a", torch.zeros(1000), mutable=True, pin=True, ttl=1000)
        stat = store.stat("a")
        assert (stat.name, stat.nbytes) == ("a", 4000)
        assert (stat.mutable, stat.pinned, stat.ttl) == (True, True, 1000.0)
        assert (stat.hits, stat.in_use) == (0, False)
        assert stat.resident == 8192
        assert before - 1 <= stat.created <= time.time() + 1
        assert before - 1 <= stat.last_used <= time.time() + 1

    def test_hits_count_loads(self, store: Store, client: Store) -> None:
        store.save("a", torch.zeros(10))
        held = [client.load("a"), client.load("a", mode="readonly"), store.load("a")]
        assert store.stat("a").hits == 3
        assert client.load("a", mode="readonly").data_ptr() == held[1].data_ptr()
        assert store.stat("a").hits == 4

    def test_in_use_is_what_the_kernel_says(self, store: Store, client: Store) -> None:
        store.save("a", torch.zeros(10))
        assert not store.stat("a").in_use
        part = client.load("a")[2:4]
        assert store.stat("a").in_use
        del part
        assert not store.stat("a").in_use

    def test_stat_of_several_gives_none_for_what_is_missing(self, store: Store) -> None:
        names = [f"n{i}" for i in range(600)]
        store.save("n500", b"x")
        stats = store.stat(names)
        assert [s.name for s in stats if s is not None] == ["n500"]
        assert stats[500] is not None
        with pytest.raises(EntryNotFound):
            store.stat("n0")

    def test_stats_add_up(self, store: Store) -> None:
        store.save("a", torch.zeros(1000))
        store.save("b", torch.zeros(1000))
        held = store.load("a")
        store.remove("a")
        stats = store.stats()
        assert (stats.name, stats.entries, stats.capacity) == ("test", 1, 256 * MIB)
        assert (stats.used, stats.lingering, stats.reserved) == (16384, 8192, 0)
        assert stats.pid == store.pid
        assert held is not None


class TestCapacity:
    def test_the_least_recently_used_goes_first(self, store: Store) -> None:
        for name in "abc":
            store.save(name, bytes(80 * MIB))
        assert store.load("a") is not None
        store.save("d", bytes(80 * MIB))
        assert store.names() == ["a", "c", "d"]
        assert store.stats().evicted == 1

    def test_what_is_in_use_or_pinned_stays(self, store: Store) -> None:
        store.save("pinned", bytes(80 * MIB), pin=True)
        store.save("used", bytes(80 * MIB))
        held = store.load("used")
        store.save("free", bytes(80 * MIB))
        store.save("new", bytes(80 * MIB))
        assert store.names() == ["new", "pinned", "used"]
        assert len(held) == 80 * MIB

    def test_entries_with_a_ttl_go_before_the_others(self, store: Store) -> None:
        store.save("old", bytes(80 * MIB))
        store.save("passing", bytes(80 * MIB), ttl=1000)
        assert store.load("passing") is not None
        store.save("x", bytes(80 * MIB))
        store.save("y", bytes(80 * MIB))
        assert store.names() == ["old", "x", "y"]

    def test_a_store_that_is_full_says_what_holds_the_room(self, store: Store) -> None:
        store.save("a", bytes(150 * MIB))
        held = store.load("a")
        store.save("b", bytes(60 * MIB), pin=True)
        with pytest.raises(StoreFull, match=r"150 MiB is in use.*60 MiB is pinned"):
            store.save("c", bytes(100 * MIB))
        with pytest.raises(MemoryError):
            store.save("c", bytes(100 * MIB))
        assert store.names() == ["a", "b"]
        assert len(held)

    def test_nothing_is_evicted_in_vain(self, store: Store) -> None:
        store.save("small", bytes(50 * MIB))
        store.save("pinned", bytes(150 * MIB), pin=True)
        with pytest.raises(StoreFull):
            store.save("new", bytes(200 * MIB))
        assert store.names() == ["pinned", "small"]

    def test_what_can_never_fit_says_so(self, store: Store) -> None:
        with pytest.raises(StoreFull, match="can never fit"):
            store.save("a", bytes(257 * MIB))

    def test_a_removed_entry_counts_while_it_is_used(self, store: Store) -> None:
        store.save("a", bytes(200 * MIB))
        held = store.load("a")
        store.remove("a")
        with pytest.raises(StoreFull, match="was removed but is still in use"):
            store.save("b", bytes(100 * MIB))
        del held
        store.save("b", bytes(100 * MIB))

    def test_overwriting_needs_room_for_both(self, store: Store) -> None:
        store.save("a", bytes(150 * MIB))
        with pytest.raises(StoreFull):
            store.save("a", bytes(150 * MIB), overwrite=True)
        assert "a" in store


class TestTtl:
    def test_an_entry_goes_after_its_ttl(self, store: Store) -> None:
        with store.watch(timeout=30) as events:
            store.save("a", b"x", ttl=0.05)
            assert [next(events).kind for _ in range(2)] == ["saved", "expired"]
        assert "a" not in store
        assert store.stats().expired == 1

    def test_an_entry_in_use_lives_on_until_its_user_has_left(self, store: Store) -> None:
        store.save("a", torch.ones(3), ttl=0.2)
        held = store.load("a")
        with store.watch(timeout=30) as events:
            store.save("b", b"x", ttl=0.4)
            assert [(e.kind, e.name) for e in (next(events), next(events))] == [
                ("saved", "b"),
                ("expired", "b"),
            ]
            assert "a" in store
            del held
            assert next(events).name == "a"

    def test_a_load_in_between_keeps_it_alive(self, store: Store, client: Store) -> None:
        store.save("a", b"x", ttl=0.3)
        with store.watch(timeout=30) as events:
            for i in range(8):
                assert bytes(client.load("a")) == b"x"
                store.save(f"tick{i}", b"x", ttl=0.1)
                assert next(events).kind == "saved"
                assert next(events).name == f"tick{i}"
            assert "a" in client
            assert next(events).name == "a"

    def test_an_overwritten_entry_does_not_take_its_successor_along(self, store: Store) -> None:
        store.save("a", b"x", ttl=0.05)
        store.save("a", b"y", overwrite=True)
        with store.watch(timeout=30) as events:
            store.save("b", b"x", ttl=0.2)
            assert [next(events).name for _ in range(2)] == ["b", "b"]
        assert bytes(store.load("a")) == b"y"

    @pytest.mark.parametrize("ttl", [0, -1, float("inf"), float("nan"), "10m"])
    def test_a_bad_ttl_is_refused(self, store: Store, ttl: Any, tmp_path: Path) -> None:
        save_file({"a": torch.ones(3)}, tmp_path / "a.safetensors")
        with pytest.raises(InvalidArgument, match="ttl"):
            store.save("a", b"x", ttl=ttl)
        with pytest.raises(InvalidArgument, match="ttl"):
            store.import_checkpoint(tmp_path / "a.safetensors", ttl=ttl)


class TestHandles:
    def test_a_closed_handle_says_so(self, client: Store) -> None:
        client.close()
        client.close()
        for use in (lambda: client.load("a"), client.names, lambda: client.save("a", b"")):
            with pytest.raises(StoreClosed, match="connect again"):
                use()
        assert "closed" in repr(client)

    def test_loaded_tensors_outlive_their_handle(self, store: Store, client: Store) -> None:
        store.save("a", torch.ones(3))
        held = client.load("a")
        client.close()
        assert held.eq(1).all()

    def test_loaded_tensors_outlive_the_store(self) -> None:
        with onecopy.start("short", capacity="1MiB") as store:
            store.save("a", torch.ones(3))
            held = store.load("a")
        assert held.eq(1).all()

    def test_a_pickled_handle_connects_again(self, store: Store) -> None:
        store.save("a", b"x")
        copy = pickle.loads(pickle.dumps(store))
        assert bytes(copy.load("a")) == b"x"
        copy.close()
        assert "a" in store

    def test_many_threads_use_one_handle(self, store: Store) -> None:
        def work(number: int) -> None:
            for i in range(30):
                store.save(f"{number}/{i}", torch.full((10,), number))
                assert store.load(f"{number}/{i}").eq(number).all()
                with store.lock("all"):
                    store.remove(f"{number}/{i}")

        threads = [Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.names() == []
