"""The clock by which guests are interrupted."""

from __future__ import annotations

import threading

import pytest

from onecopy.agents.worker import engine as module
from onecopy.agents.worker.engine import SETTINGS, Ticker, engine


class Engine:
    """Counts the ticks, and says when there is one."""

    def __init__(self) -> None:
        self.ticked = threading.Semaphore(0)

    def increment_epoch(self) -> None:
        self.ticked.release()


@pytest.fixture
def counted(monkeypatch):
    counted = Engine()
    monkeypatch.setattr(module, "engine", lambda: counted)
    return counted


def test_it_ticks_while_one_guest_computes(counted):
    ticker = Ticker()
    ticker.start()
    ticker.start()
    ticker.stop()
    for _ in range(3):
        assert counted.ticked.acquire(timeout=60)
    ticker.stop()
    # At most the tick that had begun comes after the stop.
    ticker._wanted.wait(0)
    assert not ticker._wanted.is_set()


def test_it_starts_again(counted):
    ticker = Ticker()
    for _ in range(2):
        ticker.start()
        assert counted.ticked.acquire(timeout=60)
        ticker.stop()


def test_the_engine_interrupts_and_repeats():
    assert engine() is engine()
    assert SETTINGS["epoch_interruption"]
    assert SETTINGS["cranelift_nan_canonicalization"]
