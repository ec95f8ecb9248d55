"""One worker, as a batch sees it."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import weakref
from collections.abc import Callable, Iterator

import pytest

from onecopy import LimitReached, WorkerLost
from onecopy.guests.batch import steps
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.batch.station import Station
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.pool import SERVICES, Pool
from tests.guests.batch.conftest import PATIENT
from tests.guests.batch.test_controllers import decode
from tests.guests.probing import probe
from tests.guests.waiting import eventually


def station_of(sequence) -> Station:
    station = sequence.station
    assert station is not None
    return station


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """This process can open nothing meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    held = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in held:
            os.close(fd)


def test_it_is_idle_between_steps(controllers: Controllers, scripted: bytes) -> None:
    sequence = controllers.open(scripted)
    decode(controllers, [sequence], 2)
    assert station_of(sequence).idle()


def test_it_is_not_while_its_worker_is_held(controllers: Controllers, scripted: bytes) -> None:
    sequence = controllers.open(scripted)
    station = station_of(sequence)
    os.kill(station.worker.pid, signal.SIGSTOP)
    controllers.begin({sequence: []})
    assert not station.idle()
    os.kill(station.worker.pid, signal.SIGCONT)
    controllers.finish()
    assert station.idle()


def test_those_that_run_when_a_worker_dies_are_to_blame(
    controllers: Controllers, scripted: bytes
) -> None:
    sequence = controllers.open(scripted)
    station, words = station_of(sequence), controllers.batch.board.words
    words[station.slot + steps.RUNNING] = sequence.row + 1
    assert not station.ran(sequence)  # it has answered
    sequence.asked = 1
    assert station.ran(sequence)
    words[station.slot + steps.RUNNING] = sequence.asked = 0
    assert not station.ran(sequence)


def test_those_that_are_opened_when_a_worker_dies_are_to_blame(
    controllers: Controllers, scripted: bytes
) -> None:
    """And not who has got the row of one that was closed meanwhile."""
    sequence = controllers.open(scripted)
    station, words = station_of(sequence), controllers.batch.board.words
    sequence.state = "opening"
    words[station.slot + steps.OPENING] = sequence.number - 1
    assert not station.ran(sequence)
    words[station.slot + steps.OPENING] = sequence.number
    assert station.ran(sequence)
    words[station.slot + steps.OPENING] = 0
    sequence.state = "ready"


def test_a_lost_one_is_never_idle_and_another_takes_its_place(
    controllers: Controllers, scripted: bytes
) -> None:
    sequence = controllers.open(scripted)
    station = station_of(sequence)
    os.kill(station.worker.pid, signal.SIGKILL)
    eventually(lambda: station.lost)
    assert not station.idle()
    eventually(lambda: sequence.station not in (None, station))
    sequence.wait(60)
    decode(controllers, [sequence], 1)


def test_it_is_closed_and_buried_once(controllers: Controllers, scripted: bytes) -> None:
    station = station_of(controllers.open(scripted))
    controllers.close()
    fd = os.eventfd(0)  # it may get the number of one that was just closed
    station.close()
    station.bury()
    os.eventfd_write(fd, 1)
    os.close(fd)


def test_no_worker_keeps_a_batch_that_was_closed(
    vocabulary: Vocabulary, pool: Pool, scripted: bytes
) -> None:
    """Its pages, that is: two mappings for each."""
    with Controllers(None, vocabulary, pool, batch=1) as controllers:
        decode(controllers, [controllers.open(scripted)], 2)
        rows = weakref.ref(controllers.batch.rows)
    del controllers
    gc.collect()
    assert rows() is None


REFUSE = """
from onecopy import errors
from onecopy.guests.batch import sequences
def refuse(*_, **__): raise errors.LimitReached("no room")
kept, sequences.{name} = sequences.{name}, refuse
"""
NEW = """
(module
  (import "onecopy" "control" (func $control (result i32)))
  (memory (export "memory") 1)
  (func (export "mid_process") (result i32)
    (i32.store (i32.add (call $control) (i32.const 64)) (i32.const 1)) (i32.const 0)))
"""
LEFT = """
import os
free = os.dup(0)
os.close(free)
found = free, len(worker._watched), len(worker.service("sequences")._benches)
"""


@pytest.mark.parametrize("name", ["Rows", "Board"])
def test_a_worker_that_refuses_a_batch_keeps_nothing_of_it(
    vocabulary: Vocabulary, scripted: bytes, name: str
) -> None:
    services = (*SERVICES, "tests.guests.probing")
    with Pool(workers=1, services=services, **PATIENT) as pool:  # type: ignore[arg-type]
        (worker,) = pool.workers
        before = probe(worker, LEFT)
        probe(worker, REFUSE.format(name=name))
        with Controllers(None, vocabulary, pool, batch=1) as controllers:
            with pytest.raises(WorkerLost, match="no room"):
                controllers.open(scripted)
            assert pool.workers == [worker]
            assert worker.guests == 0
            assert probe(worker, LEFT) == before
            probe(worker, f"sequences.{name} = kept")
            decode(controllers, [controllers.open(scripted)], 2)


def test_without_descriptors_nothing_is_opened_and_nothing_is_kept(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    module = pool.module(scripted)
    with no_descriptors(), pytest.raises(LimitReached, match="ulimit -n"):
        controllers.open(module)
    assert [each.guests for each in pool.workers] == [0, 0]
    decode(controllers, [controllers.open(module) for _ in range(4)], 1)


def test_a_module_that_cannot_be_handed_over_costs_no_worker(
    controllers: Controllers, pool: Pool, scripted: bytes, wat: Callable[[str], bytes]
) -> None:
    """The worker knows the batch already, but not the module."""
    first = controllers.open(scripted)
    module = pool.module(wat(NEW))
    with no_descriptors(), pytest.raises(LimitReached, match="ulimit -n"):
        controllers.open(module)
    assert first.state == "ready"
    assert station_of(first).worker.alive
    decode(controllers, [first, controllers.open(module)], 1)
