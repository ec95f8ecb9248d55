"""`with store.storage():` what is made there is saved where it lies."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import onecopy
from onecopy.store import arenas
from onecopy.tensors.arena import locate
from tests.attacks.children import forked
from tests.attacks.patience import eventually
from tests.maps import mapped_bytes


def inode(store: onecopy.Store, name: str) -> int:
    """The inode of an entry's segment."""
    found = store._connection.session.index.find(name.encode())
    assert found is not None
    return found.ino


def lies_where_it_was(store: onecopy.Store, name: str, tensor: torch.Tensor, fd: int) -> bool:
    """Whether an entry's segment is the arena behind `fd`."""
    return inode(store, name) == os.fstat(fd).st_ino


@pytest.fixture
def block(store: onecopy.Store) -> Iterator[int]:
    """An open block; the descriptor of its arena."""
    with store.storage() as arena:
        yield arena.fd


class TestASave:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: torch.randn(1000),
            lambda: torch.randn(3, 5),
            lambda: {"w": torch.randn(300, 300), "b": torch.zeros(7), "step": 3},
            lambda: [torch.randn(64)] * 3,
            lambda: torch.nn.Linear(50, 60).state_dict(),
            lambda: torch.arange(100).to(torch.bfloat16),
            lambda: {f"{number}": torch.full((number + 1,), number) for number in range(500)},
        ],
    )
    def test_copies_nothing_and_gives_what_was_saved(
        self, store: onecopy.Store, client: onecopy.Store, block: int, make
    ) -> None:
        value = make()
        store.save("x", value)
        assert inode(store, "x") == os.fstat(block).st_ino
        for _ in range(2):
            torch.testing.assert_close(client.load("x"), value, rtol=0, atol=0)

    def test_leaves_pointers_and_contents_as_they_are(
        self, store: onecopy.Store, block: int
    ) -> None:
        tensor = torch.arange(10_000)
        before = tensor.data_ptr()
        store.save("x", tensor)
        assert tensor.data_ptr() == before
        assert torch.equal(tensor, torch.arange(10_000))

    def test_after_the_block_copies_nothing_either(self, store: onecopy.Store) -> None:
        with store.storage() as arena:
            tensor = torch.randn(5000)
            number = os.fstat(arena.fd).st_ino
        store.save("x", tensor)
        assert inode(store, "x") == number

    def test_of_views_that_share_memory_keeps_them_sharing(
        self, store: onecopy.Store, client: onecopy.Store, block: int
    ) -> None:
        base = torch.arange(1024.0)
        store.save("x", {"all": base, "tail": base[512:], "turned": base.view(32, 32).t()})
        assert inode(store, "x") == os.fstat(block).st_ino
        value = client.load("x")
        value["all"][600] = -1
        assert value["tail"][88] == -1
        assert value["turned"][600 % 32, 600 // 32] == -1

    def test_copies_what_lies_outside_beside_the_rest(
        self, store: onecopy.Store, client: onecopy.Store
    ) -> None:
        outside, empty = torch.arange(20), torch.empty(0, 3)
        with store.storage() as arena:
            inside = torch.randn(10_000)
            store.save("x", {"in": inside, "out": outside, "empty": empty, "text": "plain"})
            assert inode(store, "x") == os.fstat(arena.fd).st_ino
        value = client.load("x")
        assert torch.equal(value["in"], inside)
        assert torch.equal(value["out"], outside)
        assert (value["empty"].shape, value["text"]) == ((0, 3), "plain")

    @pytest.mark.parametrize(
        ("make", "options"),
        [
            (lambda: torch.randn(1000), {"mutable": True}),
            (lambda: torch.randn(100, 100)[:, ::2], {}),
            (lambda: torch.randn(1000)[1:], {}),
            (lambda: torch.randn(100), {"align": 4096}),
            (lambda: [torch.ones(5), torch.from_numpy(torch.ones(100).numpy() + 1)], {}),
        ],
    )
    def test_copies_what_cannot_stay_where_it_is(
        self, store: onecopy.Store, client: onecopy.Store, block: int, make, options
    ) -> None:
        torch.randn(100)  # So that no later block begins where the arena does.
        keep = [torch.randn(100), value := make()]
        store.save("x", value, **options)
        assert inode(store, "x") != os.fstat(block).st_ino
        torch.testing.assert_close(client.load("x"), value, rtol=0, atol=0)
        del keep

    def test_with_whole_pages_suits_guests_too(self, store: onecopy.Store, block: int) -> None:
        store.save("x", torch.randn(10_000), align=4096)
        assert inode(store, "x") == os.fstat(block).st_ino


class TestSavedMeansImmutable:
    def test_what_the_saver_writes_later_stays_its_own(
        self, store: onecopy.Store, client: onecopy.Store, block: int
    ) -> None:
        tensor = torch.zeros(100_000)
        store.save("x", tensor)
        tensor += 1
        assert not client.load("x").any()
        assert tensor.all()

    def test_what_a_reader_writes_stays_its_own(
        self, store: onecopy.Store, client: onecopy.Store, block: int
    ) -> None:
        tensor = torch.zeros(100_000)
        store.save("x", tensor)
        client.load("x").fill_(1)
        assert not client.load("x").any()
        assert not tensor.any()

    def test_train_save_train_save(
        self, store: onecopy.Store, client: onecopy.Store, block: int
    ) -> None:
        model = torch.nn.Sequential(
            torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        kept = []
        for step in range(4):
            store.save(f"step/{step}", model.state_dict())
            kept.append({name: each.clone() for name, each in model.state_dict().items()})
            optimizer.zero_grad()
            model(torch.ones(8, 64)).pow(2).sum().backward()
            optimizer.step()
        for step, expected in enumerate(kept):
            torch.testing.assert_close(dict(client.load(f"step/{step}")), expected, rtol=0, atol=0)
        assert not torch.equal(kept[0]["0.weight"], kept[3]["0.weight"])

    def test_a_tensor_that_shares_a_page_with_a_saved_one_is_saved_rightly(
        self, store: onecopy.Store, client: onecopy.Store, block: int
    ) -> None:
        first, second = torch.zeros(16), torch.zeros(16)
        assert first.data_ptr() // 4096 == second.data_ptr() // 4096
        store.save("first", first)
        second += 2
        store.save("second", second)
        second += 2
        assert (client.load("second") == 2).all()
        assert not client.load("first").any()

    def test_memory_that_is_freed_and_used_again_is_not_the_entrys(
        self, store: onecopy.Store, client: onecopy.Store, block: int
    ) -> None:
        for number in range(20):
            store.save(f"{number}", torch.full((3000,), number))
            torch.full((3000,), -1)
        for number in range(20):
            assert (client.load(f"{number}") == number).all()


class TestARefusedSave:
    def test_of_a_name_that_exists_freezes_nothing(self, store: onecopy.Store, block: int) -> None:
        store.save("x", b"taken")
        tensor = torch.randn(1000)
        with pytest.raises(onecopy.EntryExists):
            store.save("x", tensor)
        assert locate(tensor.data_ptr(), tensor.nbytes) is not None
        assert store.stats().reserved == 0
        store.save("y", tensor)
        assert inode(store, "y") == os.fstat(block).st_ino

    def test_for_lack_of_room_freezes_nothing(self, store: onecopy.Store, block: int) -> None:
        held = torch.empty(300 << 20, dtype=torch.uint8)
        with pytest.raises(onecopy.StoreFull):
            store.save("x", held)
        assert locate(held.data_ptr(), held.nbytes) is not None
        assert store.names() == []
        assert store.stats().used == 0

    def test_of_what_cannot_be_stored_freezes_nothing(
        self, store: onecopy.Store, block: int
    ) -> None:
        tensor = torch.randn(1000)
        with pytest.raises(onecopy.UnsupportedValue):
            store.save("x", {"w": tensor, "half a letter": "\ud800"})
        assert locate(tensor.data_ptr(), tensor.nbytes) is not None
        assert store.names() == []
        eventually(lambda: store.stats().used == 0)

    def test_at_the_last_moment_leaves_value_and_store_as_they_were(
        self, store: onecopy.Store, client: onecopy.Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with store.storage() as arena:
            tensor = torch.ones(8 << 20, dtype=torch.uint8)
        inode = os.fstat(arena.fd).st_ino
        freeze = type(arena).freeze

        def overtaken(*arguments):
            client.save("x", b"taken")
            return freeze(*arguments)

        monkeypatch.setattr(type(arena), "freeze", overtaken)
        with pytest.raises(onecopy.EntryExists):
            store.save("x", tensor)
        assert (tensor == 1).all()
        assert store.stats().reserved == 0
        eventually(lambda: mapped_bytes(inode) == arena.nbytes)

    def test_by_a_freeze_that_comes_first_copies(
        self,
        store: onecopy.Store,
        client: onecopy.Store,
        block: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        tensor = torch.randn(1000)
        place = arenas.place

        def overtaken(*arguments):
            placed = place(*arguments)
            monkeypatch.undo()
            store.save("first", tensor)
            return placed

        monkeypatch.setattr(arenas, "place", overtaken)
        store.save("second", tensor)
        assert inode(store, "second") != inode(store, "first")
        assert torch.equal(client.load("second"), tensor)


class TestLifetimes:
    def test_readers_keep_what_the_saver_has_dropped(
        self, store: onecopy.Store, client: onecopy.Store
    ) -> None:
        with store.storage():
            store.save("x", torch.arange(100_000))
        gc.collect()
        assert torch.equal(client.load("x"), torch.arange(100_000))

    def test_tensors_outlive_the_block_the_entry_and_the_store(self, runtime: Path) -> None:
        with onecopy.start("short", capacity="64MiB") as store:
            with store.storage():
                tensor = torch.arange(100_000)
            store.save("x", tensor)
            loaded = store.load("x")
            store.remove("x")
        tensor += 1
        assert torch.equal(loaded + 1, tensor)

    def test_memory_goes_when_entry_and_tensors_are_gone(self, store: onecopy.Store) -> None:
        with store.storage():
            tensor = torch.zeros(1 << 20)
        store.save("x", tensor)
        assert store.stats().used == tensor.nbytes
        store.remove("x")
        assert store.stats().lingering == tensor.nbytes
        del tensor
        eventually(lambda: store.stats().used == 0)

    def test_an_entry_is_in_use_while_its_saver_has_the_arena(self, store: onecopy.Store) -> None:
        with store.storage():
            tensor = torch.zeros(1000)
        store.save("x", tensor)
        assert store.stat("x").in_use
        del tensor
        eventually(lambda: not store.stat("x").in_use)
        assert not store.load("x").any()

    def test_entries_of_one_arena_go_one_by_one(
        self, store: onecopy.Store, client: onecopy.Store, block: int
    ) -> None:
        for number in range(5):
            store.save(f"{number}", torch.full((10_000,), number))
        for number in (1, 3):
            store.remove(f"{number}")
        for number in (0, 2, 4):
            assert (client.load(f"{number}") == number).all()
        assert store.names() == ["0", "2", "4"]

    def test_a_saver_that_is_killed_leaves_its_entries(
        self, store: onecopy.Store, client: onecopy.Store
    ) -> None:
        def work() -> None:
            with store.storage():
                # So small that torch does it in one thread: OpenMP hangs in forked children.
                held = torch.full((10_000,), 7)
                store.save("x", held)
                signal.pause()

        with forked(work) as (child,):
            assert (client.load("x", timeout=60) == 7).all()
            assert store.stat("x").in_use
            child.kill()
        assert (client.load("x") == 7).all()
        eventually(lambda: not store.stat("x").in_use)


class TestWhoElseIsThere:
    def test_a_child_forked_in_a_block_saves_what_it_has(
        self, store: onecopy.Store, client: onecopy.Store, block: int
    ) -> None:
        tensor = torch.zeros(10_000)
        store.save("parent", tensor)

        def work() -> None:
            tensor.add_(1)
            store.save("child", tensor)
            with store.storage():
                store.save("grand", torch.full((10_000,), 2.0))

        with forked(work) as (child,):
            child.wait()
        assert not tensor.any()
        assert [client.load(name)[0] for name in ("parent", "child", "grand")] == [0, 1, 2]

    def test_other_threads_allocate_elsewhere(self, store: onecopy.Store, block: int) -> None:
        made: list[torch.Tensor] = []
        thread = threading.Thread(target=lambda: made.append(torch.randn(10_000)))
        thread.start()
        thread.join()
        assert locate(made[0].data_ptr(), made[0].nbytes) is None

    def test_threads_save_from_blocks_of_their_own(
        self, store: onecopy.Store, client: onecopy.Store
    ) -> None:
        def work(number: int) -> None:
            for step in range(20):
                with store.storage():
                    store.save(f"{number}/{step}", torch.full((5000,), 100 * number + step))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number in range(4):
            for step in range(20):
                assert (client.load(f"{number}/{step}") == 100 * number + step).all()

    def test_blocks_of_two_stores_nest(self, store: onecopy.Store, runtime: Path) -> None:
        with onecopy.start("other", capacity="64MiB") as other, store.storage() as outer:
            first = torch.ones(1000)
            with other.storage() as inner:
                second = torch.ones(1000)
            assert locate(first.data_ptr(), 4000)[0] is outer
            assert locate(second.data_ptr(), 4000)[0] is inner
            other.save("x", second)
            store.save("x", second + first)
            assert (other.load("x").sum(), store.load("x").sum()) == (1000, 2000)


def test_a_store_in_a_directory_copies_to_its_files(runtime: Path, tmp_path: Path) -> None:
    with onecopy.start("disk", capacity="64MiB", dir=tmp_path / "entries") as store:
        with store.storage():
            tensor = torch.arange(10_000)
            store.save("x", tensor)
        tensor += 1
        assert torch.equal(store.load("x") + 1, tensor)
        assert locate(tensor.data_ptr(), tensor.nbytes) is not None
