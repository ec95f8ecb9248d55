"""Outputs of planned modules become entries of a store where they lie."""

import gc
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import onecopy
from onecopy.errors import EntryExists
from onecopy.planner.running.bind import bind_module
from onecopy.segments import container
from tests.attacks.children import forked
from tests.planner.running.models import Decoder, same
from tests.prepared import output_of

PAGE = 4096


class Scale(torch.nn.Module):
    def forward(self, x):
        return x * 2 + 1


class Several(torch.nn.Module):
    def forward(self, x):
        y = x * 2
        return {"large": y + 1, "sum": y.sum(0), "pair": [y[:3] * 3, y.new_zeros(0)], "n": len(x)}


def bound(module, *args, store):
    return bind_module(module, args, output="bound", store=store)


@pytest.fixture
def run(store):
    with bound(Scale(), torch.zeros(1 << 20), store=store) as run:
        yield run


def entry(store, name):
    return store._connection.session.index.find(name.encode())


def files_of():
    """Memfds of outputs that this process has: descriptors by the number of the file."""
    numbers = {}
    for each in Path("/proc/self/fd").iterdir():
        try:
            if "onecopy-output" in str(each.readlink()):
                numbers[each.stat().st_ino] = int(each.name)
        except OSError:
            continue
    return numbers


@contextmanager
def duplicate(fd):
    copy = os.dup(fd)
    try:
        yield copy
    finally:
        os.close(copy)


@pytest.mark.parametrize("count", [1, 3, 1000, 1024, 1025, 1023, 131_073, 1 << 20])
def test_a_save_copies_nothing_and_has_the_actual_size(store, client, run, count):
    x = torch.arange(float(count))
    y = run(x)
    (inode,) = files_of()
    store.save("y", y)
    assert entry(store, "y").ino == inode
    assert torch.equal(client.load("y"), x * 2 + 1)
    assert torch.equal(y, x * 2 + 1)
    size = entry(store, "y").size
    assert size < PAGE + 4 * count + 200
    assert not files_of()


@pytest.mark.parametrize("count", [1, 1024, 1025, 131_073])
def test_an_entry_takes_two_pages_more_than_its_tensor(store, run, count):
    y = run(torch.ones(count))
    with duplicate(*files_of().values()) as fd:
        store.save("y", y)
        status = os.fstat(fd)
    assert status.st_blocks * 512 <= 4 * count + 2 * PAGE
    assert status.st_size == entry(store, "y").size


def test_another_process_reads_exactly_the_output(store, run):
    run(torch.ones(1 << 20))
    store.save("y", run(torch.arange(5000.0)))
    program = """
import sys, onecopy, torch
with onecopy.connect("test", timeout=5) as store:
    y = store.load("y")
    print(torch.equal(y, torch.arange(5000.0) * 2 + 1), y.untyped_storage().nbytes())
"""
    assert output_of(program) == "True 20000"


def test_the_entry_is_a_safetensors_file(store, run, tmp_path):
    y = run(torch.arange(700.0))
    with duplicate(*files_of().values()) as fd:
        store.save("y", y)
        header = container.read_header(fd, entry(store, "y").size)
    assert header.data_start == PAGE
    assert header.tensors["value"].shape == (700,)
    store.snapshot(tmp_path / "y.safetensors", "y")
    found = load_file(tmp_path / "y.safetensors")
    assert torch.equal(found["value"], torch.arange(700.0) * 2 + 1)


def test_what_the_saver_writes_later_stays_its_own(store, client, run):
    y = run(torch.zeros(3000))
    store.save("y", y)
    y.fill_(5)
    assert torch.equal(client.load("y"), torch.ones(3000))
    assert torch.equal(y, torch.full((3000,), 5.0))
    loaded = client.load("y")
    loaded.fill_(7)
    assert torch.equal(client.load("y"), torch.ones(3000))


def test_an_entry_outlives_the_output_and_the_next_runs(store, client, run):
    store.save("y", run(torch.zeros(3000)))
    for value in range(5):
        run(torch.full((4000,), float(value)))
    run.close()
    gc.collect()
    assert torch.equal(client.load("y"), torch.ones(3000))


def test_saved_again_it_is_copied(store, client, run):
    y = run(torch.zeros(3000))
    store.save("first", y)
    y.fill_(2)
    store.save("second", y)
    assert entry(store, "first").ino != entry(store, "second").ino
    assert torch.equal(client.load("first"), torch.ones(3000))
    assert torch.equal(client.load("second"), torch.full((3000,), 2.0))


def test_a_name_that_is_taken_leaves_the_output_alone(store, client, run):
    store.save("y", torch.zeros(1))
    for count in (10, 1 << 20):
        y = run(torch.zeros(count))
        with pytest.raises(EntryExists):
            store.save("y", y)
        assert torch.equal(y, torch.ones(count))
        y += 1
        store.save(f"{count}", y)
        assert torch.equal(client.load(f"{count}"), torch.full((count,), 2.0))


def test_smaller_outputs_are_copied_behind_the_largest(store, client):
    module = Several()
    x = torch.arange(30_000.0)
    with bound(module, torch.zeros(1 << 16), store=store) as run:
        results = run(x)
        inodes = files_of()
        store.save("all", results)
        assert entry(store, "all").ino in inodes
    found, wanted = client.load("all"), module(x)
    assert list(found) == list(wanted)
    assert found["n"] == 30_000
    assert same(found["large"], wanted["large"])
    assert same(found["sum"], wanted["sum"])
    assert same(found["pair"], wanted["pair"])
    results["sum"].zero_()
    assert same(client.load("all")["sum"], wanted["sum"])


def test_views_of_an_output_are_as_good(store, client, run):
    y = run(torch.arange(6000.0))
    store.save("y", {"a": y.view(60, 100), "b": y[:100], "c": y.view(60, 100)[:, 0]})
    found = client.load("y")
    assert torch.equal(found["a"], y.view(60, 100))
    assert found["b"].data_ptr() == found["a"].data_ptr()
    assert torch.equal(found["c"], y.view(60, 100)[:, 0])


@pytest.mark.parametrize("part", [slice(0, 4000), slice(16, 5000), slice(1, 5000), slice(0, 9)])
def test_the_rest_of_an_output_survives_that_a_part_is_saved(store, client, run, part):
    y = run(torch.arange(6000.0))
    store.save("y", y[part])
    assert torch.equal(client.load("y"), torch.arange(6000.0)[part] * 2 + 1)
    assert torch.equal(y, torch.arange(6000.0) * 2 + 1)
    y.fill_(3)
    assert torch.equal(client.load("y"), torch.arange(6000.0)[part] * 2 + 1)


def test_a_small_part_is_copied(store, run):
    y = run(torch.arange(6000.0))
    inodes = files_of()
    store.save("y", y[:100])
    assert entry(store, "y").ino not in inodes
    assert files_of() == inodes


@pytest.mark.parametrize("options", [{"mutable": True}, {"align": 1 << 16}])
def test_what_needs_another_layout_is_copied(store, client, run, options):
    y = run(torch.arange(6000.0))
    inodes = files_of()
    store.save("y", y, **options)
    assert entry(store, "y").ino not in inodes
    assert torch.equal(client.load("y"), y)


def test_pages_of_its_own_are_possible(store, client, run):
    y = run(torch.arange(6000.0))
    inodes = files_of()
    store.save("y", y, align=PAGE)
    assert entry(store, "y").ino in inodes
    assert client.load("y", mode="readonly").data_ptr() % PAGE == 0


def test_arrays_over_an_output_are_saved_where_it_lies(store, client, run):
    y = run(torch.arange(6000.0)).numpy()
    inodes = files_of()
    store.save("y", y)
    assert entry(store, "y").ino in inodes
    assert np.array_equal(client.load("y"), np.arange(6000.0) * 2 + 1)


def test_a_directory_gets_a_file(tmp_path, run):
    with onecopy.start("files", dir=tmp_path / "files") as files:
        y = run(torch.arange(6000.0))
        files.save("y", y)
        assert torch.equal(files.load("y"), torch.arange(6000.0) * 2 + 1)


def test_a_forked_child_copies_and_leaves_the_parents_output_alone(store, client, run):
    y = run(torch.arange(6000.0))

    def child():
        assert not files_of()
        y.fill_(4)
        assert torch.equal(run(torch.zeros(3)), torch.ones(3))

    with forked(child) as (found,):
        assert found.report() == ""
    (inode,) = files_of()
    store.save("y", y)
    assert entry(store, "y").ino == inode
    assert torch.equal(client.load("y"), torch.arange(6000.0) * 2 + 1)


def test_logits_of_a_decoder_go_to_another_process(store):
    torch.manual_seed(1)
    decoder = Decoder().eval()
    x = torch.rand(3, 50, 32)
    with bound(decoder, torch.rand(4, 64, 32), store=store) as run:
        for step in range(5):
            logits, mean = run(x)
            store.save(f"{step}/logits", logits)
            store.save(f"{step}/mean", mean)
        # The last outputs live while the next are made: they take turns at two addresses.
        assert run.stats().outputs_moved == 4
    wanted = decoder(x)
    assert all(same(store.load(f"{step}/logits"), wanted[0]) for step in range(5))
    assert same(store.load("4/mean"), wanted[1])
