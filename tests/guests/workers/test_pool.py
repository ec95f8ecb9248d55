from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from onecopy import WorkerLost
from onecopy.errors import GuestError, InvalidArgument, LimitReached
from onecopy.guests.workers import last_used as home
from onecopy.guests.workers.handle import Guest
from onecopy.guests.workers.messages import Ping
from onecopy.guests.workers.pool import Pool
from tests.guests.probing import WITH_PROBE, probe
from tests.guests.waiting import eventually
from tests.processes import output_of


def test_its_workers_answer() -> None:
    with Pool(workers=2) as pool:
        assert len({worker.pid for worker in pool.workers}) == 2
        for worker in pool.workers:
            worker.request(Ping())


def test_a_worker_that_dies_is_replaced_and_those_who_watch_are_told() -> None:
    with Pool() as pool:
        (worker,) = pool.workers
        lost: list[object] = []
        worker.on_lost(lost.append)
        unwanted: list[object] = []
        watch = unwanted.append
        worker.on_lost(watch)
        for _ in range(2):  # twice is fine
            worker.off_lost(watch)
        os.kill(worker.pid, 9)
        with pytest.raises(WorkerLost, match="SIGKILL"):
            worker.request(Ping())
        eventually(lambda: pool.workers != [worker] and pool.workers[0].serves)
        assert (lost, unwanted) == ([worker], [])
        pool.workers[0].request(Ping())


def test_who_watches_a_dead_worker_is_told_at_once() -> None:
    with Pool() as pool:
        (worker,) = pool.workers
        worker.kill("this is a test")
        with pytest.raises(WorkerLost, match="this is a test"):
            worker.request(Ping())
        lost: list[object] = []
        worker.on_lost(lost.append)
        assert lost == [worker]


def test_tenants_never_share_a_worker() -> None:
    with Pool() as pool:
        worker = pool.place("one")
        assert pool.place("one") is worker
        with pytest.raises(LimitReached, match="other tenants"):
            pool.place("two")
        pool.leave(worker)
        pool.leave(worker)
        other = pool.place("two")
        assert other.pid != worker.pid
        assert not worker.alive


def test_no_more_workers_are_replaced_for_a_tenant_than_it_needs() -> None:
    with Pool(workers=2) as pool:
        former = {pool.place("one") for _ in range(2)}
        for worker in former:
            pool.leave(worker)
        assert pool.place("two") not in former
        assert sum(each.alive for each in former) == 1
        assert pool.stats()["restarts"] == 1


def test_a_tenant_may_be_held_to_some_of_the_workers() -> None:
    with Pool(workers=2, per_tenant=1) as pool:
        assert pool.place("one") is pool.place("one")
        assert pool.place("two").tenant == "two"


def test_a_pool_without_workers_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        Pool(workers=0)


def test_workers_that_do_not_start_say_why() -> None:
    with pytest.raises(WorkerLost, match="no_such_service"):
        Pool(services=("no_such_service",))


def test_closing_it_ends_the_workers_and_is_fine_twice() -> None:
    pool = Pool(workers=2)
    pids = [worker.pid for worker in pool.workers]
    pool.close()
    pool.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(GuestError, match="closed"):
        pool.place()


def test_a_forked_child_neither_uses_nor_ends_its_parent_s_workers(
    wat: Callable[[str], bytes],
) -> None:
    text = '(module (memory (export "memory") 1) (func (export "f") (result i32) (i32.const 5)))'
    code = """
        import os, sys
        from onecopy import GuestError, WorkerLost
        from onecopy.guests.workers.handle import Guest
        from onecopy.guests.workers.pool import Pool
        wasm = bytes.fromhex(sys.argv[1])
        pool = Pool()
        guest, shared = Guest(wasm, pool=pool), Guest(wasm)
        workers = {guest.worker.pid, shared.worker.pid}
        before = len(os.listdir("/proc/self/fd"))
        if not os.fork():
            assert len(os.listdir("/proc/self/fd")) < before
            for each in (guest, shared):
                try:
                    each.call("f")
                except (GuestError, WorkerLost) as error:
                    print("forked" in str(error))
            try:
                pool.place()
            except GuestError as error:
                print("forked" in str(error))
            with Guest(wasm) as own:
                print(own.call("f"), own.worker.pid in workers)
            guest.close()
            pool.close()
            sys.exit()  # as any program: what is to be done at exit is done
        assert os.wait()[1] == 0
        print(guest.call("f"), shared.call("f"), {guest.worker.pid, shared.worker.pid} == workers)
    """
    told = output_of(code, wat(text).hex()).splitlines()
    assert told == ["True", "True", "True", "5 False", "5 5 True"]


def test_stats_tell_what_there_is(wat: Callable[[str], bytes]) -> None:
    with Pool(workers=2) as pool:
        worker = pool.place("me")
        stats = pool.stats()
        assert [each["index"] for each in stats["workers"]] == [0, 1]
        assert [each["guests"] for each in stats["workers"] if each["tenant"] == "me"] == [1]
        assert all(each["memory"] > 1 << 20 for each in stats["workers"])
        assert stats["restarts"] == 0
        assert stats["unfiltered"] == worker.unfiltered


def test_a_module_is_compiled_once(wat: Callable[[str], bytes]) -> None:
    with Pool() as pool:
        module = pool.module(wat('(module (memory (export "memory") 1))'))
        assert pool.module(module) is module
        assert pool.module(wat('(module (memory (export "memory") 1))')) is module


def test_a_tenant_s_guests_are_spread_over_its_workers() -> None:
    with Pool(workers=2) as pool:
        assert pool.place("me") is not pool.place("me")
        assert [worker.guests for worker in pool.workers] == [1, 1]


def test_modules_are_kept_by_the_length_of_their_native_code(
    tmp_path: Path, wat: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Pool(cache=tmp_path / "modules", services=WITH_PROBE) as pool:
        modules = [
            pool.module(wat(f'(module (memory (export "memory") {i}) (func (export "f")))'))
            for i in range(1, 5)
        ]
        room = len(modules[0].native) * 5 // 2  # two of them
        monkeypatch.setattr(home, "MAX_NATIVE_NBYTES", room)
        for module in modules:
            with Guest(module, pool=pool) as guest:
                guest.call("f")
        assert probe(pool.workers[0], "found = len(worker.modules)") == "2"
        pool.module(wat('(module (memory (export "memory") 9))'))
        assert len(pool._modules) == 2
