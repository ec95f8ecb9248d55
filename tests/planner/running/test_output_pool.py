"""Outputs from a pool: their memory goes from one to the next."""

import gc

import pytest
import torch

from onecopy.errors import LimitReached
from onecopy.planner.running.bind import bind_module
from tests.conftest import open_files
from tests.planner.running.limits import few_descriptors
from tests.planner.running.models import Decoder, same
from tests.prepared import output_of

MIB = 1 << 20


class Twice(torch.nn.Module):
    def forward(self, x):
        return x.sin() * 2, x.cos() * 3


@pytest.fixture
def run():
    with bind_module(Twice(), (torch.rand(MIB),), output="pool") as run:
        yield run


def test_results_are_the_modules_at_any_shape():
    module = Decoder().eval()
    with bind_module(module, (torch.rand(4, 64, 32),), output="pool") as run:
        for b, s in ((4, 64), (1, 1), (3, 20), (5, 70)):
            x = torch.rand(b, s, 32)
            assert same(run(x), module(x))


def test_the_books_are_of_live_outputs(run):
    assert run.pool_stats()[2:] == (0, 0)
    y = run(torch.rand(1024))
    stats = run.pool_stats()
    assert (stats.in_use, stats.outputs) == (2 * 4096, 2)
    assert stats.committed >= stats.in_use
    del y
    assert run.pool_stats().in_use == 0


def test_memory_of_dead_outputs_stays_for_the_next(run):
    run(torch.rand(MIB))
    committed = run.pool_stats().committed
    assert committed == 8 * MIB
    for n in (MIB, 5000, MIB // 2):
        run(torch.rand(n))
    assert run.pool_stats().committed == committed
    assert run.pool_stats().fragmentation == 1.0


def test_what_was_held_beyond_one_run_goes_back_to_the_system(run):
    held = [run(torch.rand(MIB)) for _ in range(4)]
    assert run.pool_stats().committed == 32 * MIB
    held.clear()
    assert run.pool_stats().committed == 8 * MIB


def test_held_outputs_stay_what_they_were(run):
    inputs = [torch.rand(n + 1) for n in range(100)]
    held = [run(x) for x in inputs]
    assert all(same(y, Twice()(x)) for x, y in zip(inputs, held, strict=True))


def test_outputs_outlive_the_plan_and_its_pool():
    before = open_files()
    run = bind_module(Twice(), (torch.rand(1000),), output="pool")
    y, _ = run(torch.zeros(10))
    run.close()
    gc.collect()
    assert y.tolist() == [0.0] * 10
    del y, _
    assert run.pool_stats() is None
    assert open_files() == before


def test_others_have_none():
    with bind_module(Twice(), (torch.rand(10),)) as run:
        assert run.pool_stats() is None


def test_a_forked_child_takes_its_outputs_elsewhere():
    assert (
        output_of("""
import os, sys, torch
torch.set_num_threads(1)
torch.set_grad_enabled(False)
from onecopy.errors import LimitReached
from onecopy.planner.running.bind import bind_module
from tests.planner.running.test_output_pool import Twice, same

run = bind_module(Twice(), (torch.rand(10000),), output="pool")
x = torch.rand(5000)
y = run(x)
pid = os.fork()
if pid == 0:
    try:
        assert same(y, Twice()(x))
        y[0].fill_(9)
        assert same(run(x), Twice()(x))
        del y
        run.close()
        os._exit(0)
    except BaseException as error:
        print("child:", repr(error), file=sys.stderr, flush=True)
        os._exit(1)
assert os.waitpid(pid, 0)[1] == 0
assert same(y, Twice()(x))
assert same(run(x), Twice()(x))
print("ok")
""")
        == "ok"
    )


@pytest.mark.parametrize("left", [0, 1])
def test_without_descriptors_for_a_pool_binding_says_so_and_leaves_none(left):
    module, x = Twice(), torch.rand(10)
    bind_module(module, (x,)).close()
    before = open_files()
    with few_descriptors(left), pytest.raises(LimitReached, match="ulimit -n"):
        bind_module(module, (x,), output="pool")
    assert open_files() == before


def test_above_the_bound_the_pool_serves_while_it_has_room(run):
    x = torch.rand(2 * MIB)
    assert same(run(x), (x.sin() * 2, x.cos() * 3))
    assert run.stats().unplaced == 0
    assert run.pool_stats().outputs == 0


def test_a_pool_that_is_full_leaves_outputs_to_the_heap_and_counts_them():
    class Room(torch.nn.Module):
        def forward(self, n):
            return torch.empty(n, dtype=torch.uint8)

    with bind_module(Room(), (10,), output="pool") as run:
        reserved = run.pool_stats().reserved
        held = [run(reserved // 4) for _ in range(6)]
        stats = run.stats()
        assert 0 < stats.unplaced < 6
        assert stats.outputs == 6 - stats.unplaced
        del held
        run(reserved // 4)
        assert run.stats().unplaced == stats.unplaced
