"""Outputs at stable addresses: memory of the actual size, an entry of a store without a copy."""

import gc
import logging
from pathlib import Path

import pytest
import torch

import onecopy
from onecopy.errors import AllocationMissed, InvalidArgument
from onecopy.planner.running.bind import bind_module
from onecopy.segments.region import PAGE
from tests.conftest import open_files
from tests.planner.running.limits import few_descriptors, many_descriptors
from tests.planner.running.models import Decoder, same
from tests.prepared import output_of


class Square(torch.nn.Module):
    def forward(self, x):
        return (x * 2).square()


@pytest.fixture
def run():
    with bind_module(Square(), (torch.rand(1 << 20),), output="bound") as run:
        yield run


def memfds():
    """Address and inode of each mapped memfd of an output."""
    found = []
    with open("/proc/self/maps") as lines:
        for line in lines:
            if "memfd:onecopy-output" in line:
                fields = line.split()
                found.append((int(fields[0].split("-")[0], 16), int(fields[4])))
    return dict(found)


def committed():
    """Bytes that the memfds of outputs take."""
    total = 0
    for each in Path("/proc/self/fd").iterdir():
        if each.is_symlink() and "onecopy-output" in str(each.readlink()):
            total += each.stat().st_blocks * 512
    return total


class TestAddresses:
    def test_they_are_stable_while_nothing_is_held(self, run):
        addresses = set()
        for n in (1, 1000, 1 << 20, 77):
            y = run(torch.rand(n))
            addresses.add(y.data_ptr())
            del y
        assert len(addresses) == 1

    def test_what_is_held_stays_and_the_next_lies_elsewhere(self, run):
        inputs = [torch.rand(n) for n in (10, 1000, 5, 100_000)]
        held = [run(x) for x in inputs]
        assert len({y.data_ptr() for y in held}) == 4
        assert all(same(y, (x * 2).square()) for x, y in zip(inputs, held, strict=True))
        first = held[0].data_ptr()
        held.clear()
        assert run(inputs[0]).data_ptr() == first

    def test_each_output_has_its_own(self):
        decoder = Decoder().eval()
        with bind_module(decoder, (torch.rand(4, 64, 32),), output="bound") as run:
            for s in (64, 3, 20):
                x = torch.rand(2, s, 32)
                assert same(run(x), decoder(x))
            y, mean = run(x)
            assert {y.data_ptr(), mean.data_ptr()} == set(memfds())

    def test_a_hundred_may_be_held(self, run):
        held = [run(torch.full((100,), float(i))) for i in range(100)]
        assert [y[0].item() for y in held] == [4.0 * i * i for i in range(100)]
        assert open_files() >= 100
        held.clear()
        assert memfds() == {}

    def test_above_the_bound_the_heap_has_them(self, run):
        x = torch.rand((1 << 20) + 1000)
        assert same(run(x), (x * 2).square())
        assert memfds() == {}
        stats = run.stats()
        assert (stats.unplaced, stats.outputs) == (1, 0)


class TestWithoutDescriptors:
    def test_the_heap_serves_them_and_they_are_counted_and_logged_once(self, run, caplog):
        x = torch.rand(1000)
        with caplog.at_level(logging.WARNING), few_descriptors():
            held = [run(x + i) for i in range(100)]
        assert all(same(y, ((x + i) * 2).square()) for i, y in enumerate(held))
        stats = run.stats()
        assert stats.unplaced == stats.misses > 50
        assert stats.outputs == 100 - stats.unplaced
        (record,) = caplog.records
        assert "ulimit -n" in record.getMessage()
        held.clear()
        run(x)
        assert run.stats().misses == stats.misses

    def test_as_errors_they_are_raised(self):
        held = []
        with bind_module(Square(), (torch.rand(10),), output="bound", on_miss="error") as run:
            with few_descriptors(), pytest.raises(AllocationMissed, match="no file descriptor"):
                held.extend(run(torch.ones(10)) for _ in range(100))
            assert all(same(y, torch.full((10,), 4.0)) for y in held)
            held.clear()
            run(torch.ones(10))

    def test_a_save_copies(self, run):
        with onecopy.start("test", capacity="64MiB") as store:
            with few_descriptors():
                held = [run(torch.ones(100)) for _ in range(50)]
            store.save("y", held[-1])
            assert same(store.load("y"), held[-1])


class TestMemory:
    @pytest.mark.parametrize("count", [1, 1024, 1025, 100_000])
    def test_an_output_commits_its_size_and_two_pages_at_most(self, run, count):
        y = run(torch.rand(count))
        assert committed() <= y.nbytes + 2 * PAGE
        del y
        assert committed() == 0

    @pytest.mark.parametrize(
        ("sizes", "held", "elements"),
        [
            ([1024] * 1024, True, 1_048_576),
            ([1024 * i + 1 for i in range(1, 129)], False, 132_096),
            ([1025] * 1024, True, 2_097_152),
        ],
        ids=["C1", "C2", "C1 of 1k + 1"],
    )
    def test_the_cases_of_tvms_discussion_commit_their_pages(self, sizes, held, elements):
        """Bound 128k elements (C2: one more). https://github.com/apache/tvm/pull/16111"""
        ones = torch.ones(max(128 * 1024, *sizes))
        with (
            many_descriptors(1200),
            bind_module(Square(), (ones,), output="bound", on_miss="error") as run,
        ):
            outputs, most = [], 0
            for size in sizes:
                outputs.append(run(ones[:size]))
                if not held:
                    most = max(most, committed())
                    outputs.clear()
            assert (committed() if held else most) == elements * 4
            assert all(same(y, torch.full((len(y),), 4.0)) for y in outputs)
            outputs.clear()

    def test_no_descriptor_or_map_is_left_over(self, run):
        run(torch.rand(10))
        before = open_files()
        for n in range(1, 50):
            run(torch.rand(n))
        assert open_files() == before

    def test_they_outlive_the_plan_and_then_go(self):
        run = bind_module(Square(), (torch.rand(1000),), output="bound")
        y, z = run(torch.ones(10)), run(torch.ones(20))
        run.close()
        del run
        gc.collect()
        assert y.tolist() == [4.0] * 10
        assert z.tolist() == [4.0] * 20
        assert len(memfds()) == 2
        del y, z
        assert memfds() == {}


class TestSaving:
    @pytest.fixture
    def store(self):
        with onecopy.start("test", capacity="256MiB") as store:
            yield store

    @pytest.mark.parametrize("count", [1, 1000, 1024, 100_000, 1 << 20])
    def test_the_memfd_becomes_the_entry(self, run, store, count):
        x = torch.rand(count)
        y = run(x)
        inode = memfds()[y.data_ptr()]
        store.save("y", y)
        loaded = store.load("y")
        assert same(loaded, (x * 2).square())
        assert inode in inodes(store.pid)
        assert store.stat("y").nbytes == y.nbytes

    def test_what_the_saver_writes_afterwards_is_its_own(self, run, store):
        y = run(torch.ones(5000))
        store.save("y", y)
        y.fill_(7)
        assert store.load("y").tolist() == [4.0] * 5000
        assert y.tolist() == [7.0] * 5000

    def test_what_a_reader_writes_is_its_own(self, run, store):
        y = run(torch.ones(5000))
        store.save("y", y)
        store.load("y").fill_(7)
        assert y.tolist() == [4.0] * 5000

    def test_the_next_run_writes_to_a_new_one(self, run, store):
        y = run(torch.ones(5000))
        store.save("y", y)
        address = y.data_ptr()
        del y
        z = run(torch.full((5000,), 3.0))
        assert z.data_ptr() == address
        assert store.load("y").tolist() == [4.0] * 5000

    def test_a_second_save_copies(self, run, store):
        y = run(torch.ones(5000))
        store.save("one", y)
        store.save("two", y)
        y.fill_(1)
        store.save("three", y)
        assert [store.load(name)[0].item() for name in ("one", "two", "three")] == [4.0, 4.0, 1.0]

    @pytest.mark.parametrize(
        "part", [lambda y: y[1:], lambda y: y[:-1], lambda y: {"y": y, "n": 3}, lambda y: y[::2]]
    )
    def test_parts_and_trees_are_copied(self, run, store, part):
        y = run(torch.rand(5000))
        store.save("part", part(y))
        y.add_(0)
        loaded = store.load("part")
        expected = part(y)
        assert same(loaded["y"], y) if isinstance(loaded, dict) else same(loaded, expected)

    def test_mutable_entries_are_copies(self, run, store):
        y = run(torch.ones(5000))
        store.save("y", y, mutable=True)
        store.load("y").fill_(9)
        assert y.tolist() == [4.0] * 5000

    def test_a_refused_save_leaves_it_as_it_was(self, run, store):
        y = run(torch.ones(5000))
        store.save("y", b"taken")
        with pytest.raises(onecopy.EntryExists):
            store.save("y", y)
        assert y.tolist() == [4.0] * 5000
        store.save("z", y)
        assert store.load("z").tolist() == [4.0] * 5000

    def test_another_process_and_safetensors_read_it(self, run, store, tmp_path):
        y = run(torch.arange(1000.0))
        store.save("y", y)
        code = """
            import onecopy
            print(onecopy.connect("test").load("y").sum().item())
        """
        assert float(output_of(code)) == y.sum().item()
        store.snapshot(tmp_path / "y.safetensors", "y")
        load_file = pytest.importorskip("safetensors.torch").load_file
        found = load_file(tmp_path / "y.safetensors")
        assert same(found["value"], y)

    def test_in_a_directory_they_are_copied(self, run, tmp_path):
        with onecopy.start("disk", capacity="64MiB", dir=tmp_path / "dir") as store:
            y = run(torch.ones(5000))
            store.save("y", y)
            y.fill_(2)
            assert store.load("y").tolist() == [4.0] * 5000

    def test_a_planned_module_saves_in_the_store_that_it_was_given(self, store):
        with bind_module(Square(), (torch.ones(10),), output="bound", store=store) as run:
            run.save("y", run(torch.ones(5)), ttl=60)
        assert store.load("y").tolist() == [4.0] * 5

    def test_without_one_it_says_so(self, run, store):
        with pytest.raises(InvalidArgument, match="no store was given"):
            run.save("y", run(torch.ones(5)))
        with pytest.raises(InvalidArgument, match="copied into the store"):
            bind_module(Square(), (torch.ones(10),), store=store)


def inodes(pid):
    return {each.stat().st_ino for each in Path(f"/proc/{pid}/fd").iterdir() if each.exists()}


def test_a_forked_child_neither_reaches_nor_keeps_them():
    assert (
        output_of("""
import os, sys, torch, onecopy
torch.set_num_threads(1)
torch.set_grad_enabled(False)
from onecopy.planner.running.bind import bind_module
from tests.planner.running.test_outputs import Square

run = bind_module(Square(), (torch.rand(10000),), output="bound")
y = run(torch.ones(5000))
pid = os.fork()
if pid == 0:
    try:
        assert y[0] == 4
        y.fill_(9)
        z = run(torch.ones(10))
        assert z[0] == 4
        del y
        os._exit(0)
    except BaseException as error:
        print("child:", repr(error), file=sys.stderr, flush=True)
        os._exit(1)
assert os.waitpid(pid, 0)[1] == 0
assert (y == 4).all()
with onecopy.start("test", capacity="64MiB") as store:
    store.save("y", y)
    assert (store.load("y") == 4).all()
print("ok")
""")
        == "ok"
    )


def test_another_kind_of_output_is_refused():
    with pytest.raises(InvalidArgument, match="exact, bound, pool"):
        bind_module(Square(), (torch.rand(10),), output="other")
