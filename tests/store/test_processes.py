"""Stores in other processes: spawned, forked, DataLoader workers, queues."""

from __future__ import annotations

import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import onecopy
from onecopy import Ref, Store
from tests import prepared
from tests.processes import output_of


def test_another_process_loads_what_was_saved(store: Store) -> None:
    store.save("a", {"w": torch.arange(5.0)})
    code = """
        import sys
        import onecopy
        with onecopy.connect("test", direct=sys.argv[1] == "True") as store:
            print(store.load("a")["w"].tolist())
    """
    assert output_of(code, store._connection.direct) == "[0.0, 1.0, 2.0, 3.0, 4.0]"


def test_a_writer_in_another_process_is_seen(store: Store) -> None:
    store.save("a", torch.zeros(3), mutable=True)
    mine = store.load("a")
    code = """
        import onecopy
        onecopy.connect("test").load("a")[1] = 5
    """
    prepared.output_of(code)
    assert mine.tolist() == [0, 5, 0]


def test_a_forked_child_uses_the_handle_it_inherited(store: Store) -> None:
    store.save("a", b"x")
    held = store.load("a", mode="readonly")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            assert bytes(store.load("a", mode="readonly")) == b"x"
            store.save("b", b"from the child")
            with store.lock("l", timeout=10):
                status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert bytes(store.load("b")) == b"from the child"
    assert bytes(held) == b"x"


def test_a_forked_child_does_not_stop_its_parents_store(store: Store) -> None:
    child = os.fork()
    if child == 0:
        store.close()
        os._exit(0)
    os.waitpid(child, 0)
    store.save("a", b"x")


def test_a_child_forked_by_the_owner_does_not_keep_the_store(direct: bool) -> None:
    code = """
        import os, sys
        import onecopy
        store = onecopy.start("owned", capacity="1MiB")
        go, gone = os.pipe()
        if os.fork() == 0:
            os.close(gone)
            os.close(1)
            os.close(2)
            os.read(go, 1)  # until the owner is dead
            try:
                store.watch().__next__()
            except onecopy.StoreUnavailable:
                pass
            os._exit(0)
        print(store.pid, flush=True)
        os.kill(os.getpid(), 9)
    """
    from tests.processes import script

    with script(code) as owner:
        pid = int(owner.stdout.readline())
        owner.wait()
        pidfd = None
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            pass
        if pidfd is not None:
            import select

            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            assert poll.poll(30_000), "the daemon outlived its owner"
            os.close(pidfd)


def load_sum(ref: Ref) -> float:
    return float(ref.load().sum())


# Handles are pickled either way; a process that starts afresh needs two seconds to import torch.
METHODS = [("direct", "spawn"), ("direct", "fork"), ("socket", "fork")]


@pytest.mark.parametrize(("direct", "method"), METHODS, indirect=["direct"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_ref_travels_to_a_pool(store: Store, method: str) -> None:
    store.save("a", torch.ones(10))
    with ProcessPoolExecutor(1, mp_context=get_context(method)) as pool:
        assert pool.submit(load_sum, store.ref("a")).result() == 10.0


class StoreDataset(Dataset):
    """Reads its items from a store."""

    def __init__(self, store: Store, count: int) -> None:
        self.store = store
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.store.load(f"item/{index}")


@pytest.mark.parametrize(("direct", "method"), METHODS, indirect=["direct"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_dataloader_workers_read_from_the_store(store: Store, method: str) -> None:
    for index in range(8):
        store.save(f"item/{index}", torch.full((3,), float(index)))
    loader = DataLoader(
        StoreDataset(store, 8), batch_size=4, num_workers=2, multiprocessing_context=method
    )
    batches = list(loader)
    assert torch.cat(batches)[:, 0].tolist() == list(range(8))


def receive_sum(queue, answers) -> None:
    answers.put(float(queue.get().sum()))


@pytest.mark.parametrize("direct", ["direct"], indirect=True)
def test_a_loaded_tensor_goes_through_a_torch_queue(store: Store) -> None:
    store.save("a", torch.arange(1000.0))
    context = torch.multiprocessing.get_context("spawn")
    queue, answers = context.Queue(), context.Queue()
    process = context.Process(target=receive_sum, args=(queue, answers))
    process.start()
    queue.put(store.load("a"))
    assert answers.get(timeout=60) == 499500.0
    process.join()
    assert store.load("a").sum() == 499500.0


def test_a_ref_pickles_and_says_what_it_is(store: Store) -> None:
    store.save("a", b"x")
    ref = pickle.loads(pickle.dumps(store.ref("a")))
    assert bytes(ref.load(timeout=1, mode="readonly")) == b"x"
    assert "'a'" in repr(ref)
    ref.store.close()


def test_a_ref_to_what_does_not_exist_yet_waits(store: Store) -> None:
    ref = store.ref("later")
    with pytest.raises(onecopy.WaitTimeout):
        ref.load(timeout=0.01)
    store.save("later", b"x")
    assert bytes(ref.load()) == b"x"
