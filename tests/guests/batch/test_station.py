"""One worker, as a batch sees it."""

from __future__ import annotations

import os
import signal

from onecopy.guests.batch import steps
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.batch.station import Station, hear
from tests.guests.batch.test_controllers import decode
from tests.guests.waiting import eventually


def station_of(sequence) -> Station:
    station = sequence.station
    assert station is not None
    return station


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


def test_an_empty_bell_can_be_heard() -> None:
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    hear(fd)
    os.eventfd_write(fd, 3)
    hear(fd)
    hear(fd)
    os.close(fd)
