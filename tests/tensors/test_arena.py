"""What an arena promises, whichever memory is behind it."""

import gc
import os
import threading
import warnings
from pathlib import Path

import pytest
import torch

from onecopy.errors import InvalidArgument
from onecopy.native import Unavailable, allocator
from onecopy.segments.region import PAGE
from onecopy.tensors import arena as arenas
from onecopy.tensors.arena import Arena, SlowStorageWarning, locate
from tests.attacks.patience import eventually
from tests.conftest import open_files
from tests.maps import mapped_bytes
from tests.tensors.planning import plan

MIB = 1 << 20


@pytest.fixture(params=["native", "dispatch"])
def way(request, monkeypatch):
    """Both ways to get tensors into an arena; the second is for where the first is refused."""
    if request.param == "dispatch":

        def refuse():
            raise Unavailable("this test refuses it")

        monkeypatch.setattr(allocator, "install", refuse)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SlowStorageWarning)
            yield request.param
    else:
        yield request.param


@pytest.fixture
def arena(way):
    arena = Arena(64 * MIB, "test")
    yield arena
    arena.close()


def where(tensor):
    return locate(tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes())


def holds(arena, *tensors):
    return all((where(each) or [None])[0] is arena for each in tensors)


def extents(arena, *tensors):
    found = plan([(each.data_ptr(), each.nbytes) for each in tensors])
    assert found is not None
    assert found[0] is arena
    return [(offset, each.nbytes) for offset, each in zip(found[1], tensors, strict=True)]


def file_bytes(arena, tensor_at):
    (offset, nbytes), *_ = tensor_at
    return os.pread(arena.fd, nbytes, offset)


class TestBlock:
    def test_what_is_made_in_the_block_is_in_the_arena(self, arena):
        with arena:
            tensor = torch.arange(1000.0)
        assert holds(arena, tensor)
        assert file_bytes(arena, extents(arena, tensor)) == tensor.numpy().tobytes()

    def test_what_is_made_before_and_after_is_not(self, arena):
        before = torch.zeros(1000)
        with arena:
            kept = torch.zeros(1000)
        after = torch.zeros(1000)
        assert where(before) is where(after) is None
        assert holds(arena, kept)

    def test_the_innermost_of_nested_blocks_counts(self, way):
        with Arena(MIB, "outer") as outer:
            first = torch.ones(10)
            with Arena(MIB, "inner") as inner:
                second = torch.ones(10)
                with outer:
                    third = torch.ones(10)
            fourth = torch.ones(10)
        assert holds(outer, first, third, fourth)
        assert holds(inner, second)

    def test_an_exception_ends_the_block(self, arena):
        with pytest.raises(ZeroDivisionError), arena:
            kept = torch.ones(10)
            _ = 1 / 0
        assert holds(arena, kept)
        assert where(torch.ones(10)) is None

    def test_other_threads_are_untouched_while_it_is_open(self, arena):
        made = []
        with arena:
            thread = threading.Thread(target=lambda: made.append(torch.ones(1000)))
            thread.start()
            thread.join()
            mine = torch.ones(1000)
        assert where(made[0]) is None
        assert holds(arena, mine)

    def test_several_threads_may_have_it_entered(self, arena):
        made = []

        def work():
            with arena:
                made.extend(torch.full((each + 1,), 7) for each in range(200))

        keep = torch.ones(1)
        with arena:
            keep = torch.ones(10)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert holds(arena, keep, *made)
        assert all((each == 7).all() for each in made)

    def test_leaving_what_this_thread_has_not_entered_is_refused(self, arena):
        with arena:
            kept = torch.ones(4)
        with pytest.raises(InvalidArgument, match="innermost"):
            arena.__exit__()
        assert holds(arena, kept)

    def test_it_may_be_entered_again_while_a_tensor_lives(self, arena):
        with arena:
            first = torch.ones(4)
        with arena:
            second = torch.ones(4)
        assert holds(arena, first, second)


class TestLifetime:
    def test_tensors_outlive_the_block_and_the_object(self, way):
        with Arena(MIB, "test") as arena:
            tensor = torch.arange(100)
        del arena
        gc.collect()
        assert tensor.sum() == 4950
        assert where(tensor) is not None

    def test_the_last_tensor_ends_it(self, way):
        with Arena(MIB, "test") as arena:
            tensor = torch.ones(1000)
        fd = arena.fd
        link = Path(f"/proc/self/fd/{fd}")
        assert str(link.readlink()).startswith("/memfd:test")
        del tensor
        assert arena.facts is None
        assert not link.is_symlink()
        with pytest.raises(InvalidArgument, match="has ended"):
            _ = arena.fd
        with pytest.raises(InvalidArgument, match="has ended"):
            arena.__enter__()

    def test_a_block_that_leaves_nothing_ends_it(self, way):
        with Arena(MIB, "test") as arena:
            torch.ones(1000)
        assert not arena.alive

    def test_one_that_was_never_entered_is_closed(self, way):
        arena = Arena(MIB, "test")
        assert arena.alive
        arena.close()
        arena.close()
        assert not arena.alive

    def test_ended_ones_are_forgotten(self, way):
        with Arena(MIB, "test"):
            pass
        Arena(MIB, "test").close()
        Arena(MIB, "test").close()
        assert len(arenas._arenas) < 10

    def test_descriptors_do_not_pile_up(self, way):
        before = open_files()
        for _ in range(20):
            with Arena(MIB, "test"):
                torch.ones(10)
        assert open_files() == before

    def test_its_size_is_positive(self):
        with pytest.raises(InvalidArgument, match="at least one byte"):
            Arena(0, "test")

    def test_nobody_can_cut_it_short(self, arena):
        with pytest.raises(PermissionError):
            os.ftruncate(arena.fd, 0)


class TestMemory:
    def test_none_is_taken_before_it_is_touched(self, way):
        arena = Arena(1 << 34, "test")
        assert arena.resident == 0
        arena.close()

    def test_what_is_freed_after_the_block_returns_to_the_system(self, arena):
        with arena:
            keep, drop = torch.ones(MIB), torch.ones(MIB)
        before = arena.resident
        del drop
        assert before - arena.resident == 4 * MIB
        assert (keep == 1).all()

    def test_what_was_freed_in_the_block_returns_when_it_ends(self, arena):
        with arena:
            keep = torch.ones(10)
            for _ in range(10):
                torch.ones(MIB)
        assert arena.resident <= PAGE
        assert (keep == 1).all()

    def test_what_finds_no_room_goes_elsewhere(self, way):
        with Arena(MIB, "test") as arena:
            small = torch.ones(10)
            large = torch.ones(MIB)
            assert arena.facts.refused == 1
            assert arena.facts.refused_bytes == 4 * MIB
        assert holds(arena, small)
        assert where(large) is None
        assert large.sum() == MIB

    def test_room_that_was_freed_in_pieces_is_used_again(self, way):
        with Arena(8 * MIB, "test") as arena:
            for _ in range(5):
                pieces = [torch.ones(MIB // 4) for _ in range(7)]
                del pieces
            assert arena.facts.refused == 0

    def test_live_bytes_are_those_of_its_tensors(self, arena):
        with arena:
            tensor = torch.ones(MIB)
        assert arena.live_bytes == 4 * MIB
        assert "4194304 of" in repr(arena)
        del tensor
        assert arena.live_bytes == 0

    def test_every_block_is_aligned(self, arena):
        with arena:
            made = [torch.ones(size) for size in range(1, 3000, 37)]
        assert holds(arena, *made)
        assert all(each.data_ptr() % 64 == 0 for each in made)


class TestPlan:
    def test_it_finds_all_in_one_arena(self, arena):
        with arena:
            first, second = torch.ones(10), torch.ones(2000)
        found = plan([(first.data_ptr(), 40, first), (second.data_ptr(), 8000, second)])
        assert found is not None
        assert found[0] is arena
        assert [os.pread(arena.fd, 40, offset) for offset in found[1]] == [
            torch.ones(10).numpy().tobytes()
        ] * 2

    def test_a_piece_elsewhere_is_a_copy_for_all(self, arena):
        with arena:
            inside = torch.ones(10)
        outside = torch.ones(10)
        assert plan([(each.data_ptr(), 40) for each in (inside, outside)]) is None

    def test_two_arenas_are_not_one(self, way):
        with Arena(MIB, "one"):
            first = torch.ones(10)
        with Arena(MIB, "two"):
            second = torch.ones(10)
        assert plan([(each.data_ptr(), 40) for each in (first, second)]) is None

    def test_nothing_is_nowhere(self):
        assert plan([]) is None

    def test_what_reaches_beyond_the_arena_is_not_in_it(self, arena):
        with arena:
            tensor = torch.ones(10)
        assert locate(tensor.data_ptr(), 65 * MIB) is None


class TestFreeze:
    def test_pointers_and_contents_stay(self, arena):
        with arena:
            tensor = torch.arange(3 * MIB)
        address = tensor.data_ptr()
        assert arena.freeze(extents(arena, tensor))
        assert tensor.data_ptr() == address
        assert torch.equal(tensor, torch.arange(3 * MIB))

    def test_later_writes_do_not_reach_the_file(self, arena):
        with arena:
            tensor = torch.ones(3 * MIB, dtype=torch.uint8)
        at = extents(arena, tensor)
        arena.freeze(at)
        tensor.fill_(2)
        assert file_bytes(arena, at) == b"\1" * (3 * MIB)
        assert (tensor == 2).all()

    def test_frozen_memory_is_not_clean(self, arena):
        with arena:
            tensor = torch.ones(MIB)
        arena.freeze(extents(arena, tensor))
        assert where(tensor) is None
        assert plan([(tensor.data_ptr(), tensor.nbytes)]) is None

    def test_a_tensor_that_shares_a_page_with_a_frozen_one_is_not_clean(self, arena):
        with arena:
            base = torch.zeros(3 * PAGE, dtype=torch.uint8)
        head, tail = base[: PAGE + 10], base[PAGE + 10 :]
        rest = base[2 * PAGE :]
        arena.freeze(extents(arena, head))
        assert where(base) is None
        assert locate(tail.data_ptr(), tail.nbytes) is None
        assert locate(rest.data_ptr(), rest.nbytes) is not None

    def test_it_happens_once(self, arena):
        with arena:
            first, second = torch.ones(MIB), torch.ones(MIB)
        at = extents(arena, first)
        assert arena.freeze(at)
        assert not arena.freeze([*extents(arena, second), *at])
        assert holds(arena, second)

    def test_extents_may_overlap_and_come_in_any_order(self, arena):
        with arena:
            tensor = torch.ones(10 * PAGE, dtype=torch.uint8)
        ((offset, _),) = extents(arena, tensor)
        assert arena.freeze(
            [(offset + 5 * PAGE, 2 * PAGE), (offset, 6 * PAGE), (offset + 9 * PAGE, 1)]
        )
        tensor.fill_(2)
        now = os.pread(arena.fd, 10 * PAGE, offset)
        assert [now[page * PAGE] for page in range(10)] == [1] * 7 + [2, 2, 1]

    def test_what_is_not_in_the_arena_is_refused(self, arena):
        for extent in [(0, 65 * MIB), (64 * MIB, 1), (1 << 62, 1 << 62)]:
            with pytest.raises(InvalidArgument, match="not in the arena"):
                arena.freeze([extent])

    def test_freeing_frozen_memory_leaves_the_file(self, arena):
        with arena:
            tensor = torch.ones(MIB, dtype=torch.uint8)
            keep = torch.ones(10)
        at = extents(arena, tensor)
        arena.freeze(at)
        tensor.fill_(2)
        del tensor
        assert file_bytes(arena, at) == b"\1" * MIB
        assert (keep == 1).all()

    def test_frozen_pages_are_never_used_again(self, arena):
        with arena:
            small, large = torch.ones(3), torch.ones(MIB)
            at = extents(arena, small, large)
            arena.freeze(at)
            del small, large
            later = [torch.full((3,), 7.0) for _ in range(200)] + [torch.zeros(MIB)]
        assert holds(arena, *later)
        assert os.pread(arena.fd, 4 * MIB, at[1][0]) == torch.ones(MIB).numpy().tobytes()
        assert os.pread(arena.fd, 12, at[0][0]) == torch.ones(3).numpy().tobytes()

    def test_a_block_of_which_a_part_is_frozen_frees_the_rest(self, arena):
        with arena:
            keep = torch.ones(10)
            tensor = torch.ones(10 * PAGE, dtype=torch.uint8)
        ((offset, _),) = extents(arena, tensor)
        arena.freeze([(offset + 3 * PAGE, PAGE), (offset + 6 * PAGE, 2 * PAGE)])
        del tensor
        now = os.pread(arena.fd, 10 * PAGE, offset)
        assert [now[page * PAGE] for page in range(10)] == [0, 0, 0, 1, 0, 0, 1, 1, 0, 0]
        with arena:
            again = [torch.full((PAGE,), 5, dtype=torch.uint8) for _ in range(10)]
        assert holds(arena, *again)
        assert os.pread(arena.fd, PAGE, offset + 3 * PAGE) == b"\1" * PAGE
        assert (keep == 1).all()

    def test_writes_during_the_flip_are_never_lost(self, arena):
        with arena:
            tensor = torch.zeros(32 * MIB, dtype=torch.uint8)
        counts = tensor.view(torch.int64)[:: PAGE // 8]
        stop = threading.Event()
        lost = []

        def count():
            expected = 0
            while not stop.is_set():
                counts.add_(1)
                expected += 1
                if not (counts == expected).all():
                    lost.append(expected)
                    return

        thread = threading.Thread(target=count)
        thread.start()
        try:
            ((offset, nbytes),) = extents(arena, tensor)
            for start in range(0, nbytes, 8 * MIB):
                assert arena.freeze([(offset + start, 8 * MIB)])
        finally:
            stop.set()
            thread.join()
        assert not lost


class TestTidy:
    def test_drops_what_freezes_have_left_behind(self, arena):
        inode = os.fstat(arena.fd).st_ino
        with arena:
            first, second = (torch.ones(8 * MIB, dtype=torch.uint8) for _ in range(2))
        arena.freeze(extents(arena, first))
        arena.freeze(extents(arena, second))
        first.fill_(2)
        arena.tidy()
        eventually(lambda: mapped_bytes(inode) == arena.nbytes)
        assert (first == 2).all()
        assert (second == 1).all()
        arena.tidy()

    def test_is_not_needed_where_the_arena_ends(self, arena):
        inode = os.fstat(arena.fd).st_ino
        with arena:
            tensor = torch.ones(8 * MIB, dtype=torch.uint8)
        arena.freeze(extents(arena, tensor))
        del tensor
        assert mapped_bytes(inode) == 0
        arena.tidy()


class TestWarning:
    def test_the_slower_way_says_why(self, monkeypatch):
        def refuse():
            raise Unavailable("a reason")

        monkeypatch.setattr(allocator, "install", refuse)
        with pytest.warns(SlowStorageWarning, match="slower way.*a reason"):
            Arena(MIB, "test").close()
