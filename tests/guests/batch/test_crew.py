"""Which sequences there are, and where they live."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from onecopy.errors import GuestError, LimitReached, WaitTimeout
from onecopy.guests.batch import crew as home
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.batch.crew import Crew
from onecopy.guests.batch.station import Station
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.pool import Pool
from onecopy.guests.workers.remote import WorkerProcess
from tests.guests.batch.test_controllers import decode
from tests.guests.waiting import eventually


def test_rows_are_given_from_the_lowest_and_given_back(
    controllers: Controllers, scripted: bytes
) -> None:
    opened = [controllers.open(scripted) for _ in range(4)]
    assert [each.row for each in opened] == [0, 1, 2, 3]
    with pytest.raises(LimitReached, match="batch="):
        controllers.open(scripted)
    for row in (2, 1):
        opened[row].close()
    assert [controllers.open(scripted).row for _ in range(2)] == [1, 2]


def test_no_number_is_given_twice(controllers: Controllers, scripted: bytes) -> None:
    numbers = []
    for _ in range(5):
        with controllers.open(scripted) as sequence:
            numbers.append(sequence.number)
    assert numbers == sorted(set(numbers))


def test_sequences_of_a_request_live_in_one_worker(
    controllers: Controllers, scripted: bytes
) -> None:
    together = [controllers.open(scripted, request="one") for _ in range(3)]
    assert len({each.station for each in together}) == 1


def test_others_are_spread_over_the_workers(controllers: Controllers, scripted: bytes) -> None:
    apart = [controllers.open(scripted) for _ in range(4)]
    workers = [each.station.worker.index for each in apart if each.station]
    assert sorted(workers) == [0, 0, 1, 1]


def test_its_places_in_the_pool_are_left(controllers: Controllers, scripted: bytes, pool) -> None:
    first = controllers.open(scripted, request="one")
    second = controllers.open(scripted, request="one")
    branches = controllers.open(scripted).fork(2)
    assert sum(each["guests"] for each in pool.stats()["workers"]) == 2
    for each in (first, branches[0]):
        each.close()
    assert sum(each["guests"] for each in pool.stats()["workers"]) == 2
    for each in (second, branches[1]):
        each.close()
    assert sum(each["guests"] for each in pool.stats()["workers"]) == 0


def test_who_waits_in_vain_is_told(controllers: Controllers, scripted: bytes) -> None:
    sequence = controllers.open(scripted, "init_loop=0", seconds=1, wait=False)
    with pytest.raises(WaitTimeout):
        sequence.wait(0)


def test_who_takes_the_place_of_a_worker_waits_until_that_is_given_up(
    controllers: Controllers, scripted: bytes, pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have one slot of the board, and the first one's end is read there."""
    crew, events, go = controllers._crew, [], threading.Event()
    sequence = controllers.open(scripted)
    lost = sequence.station.worker
    recover, make = crew.recovery.recover, home.Station

    def recover_later(station: Station) -> None:
        go.wait(60)
        events.append("given up")
        recover(station)

    def make_now(crew: Crew, worker: WorkerProcess) -> Station:
        events.append("made")
        return make(crew, worker)

    monkeypatch.setattr(crew.recovery, "recover", recover_later)
    monkeypatch.setattr(home, "Station", make_now)
    os.kill(lost.pid, signal.SIGKILL)
    eventually(lambda: pool.workers[lost.index] is not lost and pool.workers[lost.index].ready)
    monkeypatch.setattr(pool, "_choose", lambda _: pool.workers[lost.index])
    opening = threading.Thread(target=controllers.open, args=(scripted,))
    opening.start()
    eventually(lambda: events or crew.roster.free == 2)
    go.set()
    opening.join()
    assert events == ["given up", "made"]
    sequence.wait(60)
    decode(controllers, [sequence], 1)


def test_a_place_for_one_that_was_closed_meanwhile_is_left(
    controllers: Controllers, scripted: bytes, pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = pool.place

    def close_meanwhile(tenant: str) -> WorkerProcess:
        for each in controllers._crew.roster:
            each.close()
        return place(tenant)

    monkeypatch.setattr(pool, "place", close_meanwhile)
    controllers.open(scripted, wait=False)
    assert sum(each["guests"] for each in pool.stats()["workers"]) == 0


def test_when_it_is_closed_nothing_comes_in(vocabulary, pool, scripted: bytes) -> None:
    controllers = Controllers(None, vocabulary, pool, batch=1)
    sequence = controllers.open(scripted)
    controllers.close()
    controllers.close()
    assert sequence.state == "closed"
    with pytest.raises(GuestError, match="were closed"):
        controllers.open(scripted)


def test_to_open_without_waiting_does_not_wait_for_a_worker_either(
    vocabulary: Vocabulary, scripted: bytes
) -> None:
    """Those of a request find each other's worker, though each is placed by a thread."""
    with (
        Pool(workers=2, guest_ms=5000, step_ms=60_000) as pool,
        Controllers(None, vocabulary, pool, batch=6, keep=0, tenant="ours") as controllers,
    ):
        taken = [pool.place("theirs") for _ in range(2)]
        for each in taken:
            pool.leave(each)
        assert not pool.is_ready("ours")
        sequences = [controllers.open(scripted, request="one", wait=False) for _ in range(6)]
        assert {each.state for each in sequences} == {"opening"}
        for each in sequences:
            each.wait(60)
        assert len({each.station for each in sequences}) == 1
        decode(controllers, sequences, 2)
        for each in sequences:
            each.close()
        eventually(lambda: not any(each["guests"] for each in pool.stats()["workers"]))


def test_what_finds_no_worker_fails_where_nobody_waited(
    vocabulary: Vocabulary, scripted: bytes
) -> None:
    with (
        Pool(workers=1, guest_ms=5000, step_ms=60_000) as pool,
        Controllers(None, vocabulary, pool, batch=6, tenant="ours") as controllers,
    ):
        pool.place("theirs")
        sequence = controllers.open(scripted, wait=False)
        with pytest.raises(LimitReached, match="other tenants"):
            sequence.wait(60)
