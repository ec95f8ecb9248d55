from __future__ import annotations

import os

import pytest

from onecopy import WorkerLost
from onecopy.errors import GuestError, InvalidArgument, LimitReached
from onecopy.guests.messages import Ping
from onecopy.guests.pool import Pool
from tests.guests.waiting import eventually


def test_its_workers_answer() -> None:
    with Pool(workers=2) as pool:
        assert len({worker.pid for worker in pool.workers}) == 2
        for worker in pool.workers:
            worker.request(Ping())


def test_a_worker_that_dies_is_replaced_and_those_who_watch_are_told() -> None:
    with Pool() as pool:
        (worker,) = pool.workers
        lost: list[object] = []
        started: list[object] = []
        worker.on_lost(lost.append)
        pool.on_started(started.append)
        os.kill(worker.pid, 9)
        with pytest.raises(WorkerLost, match="SIGKILL"):
            worker.request(Ping())
        eventually(lambda: started)
        assert lost == [worker]
        assert pool.workers == started
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
