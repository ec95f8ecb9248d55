from __future__ import annotations

import threading
import time

import pytest

from onecopy.errors import GuestTimeout
from onecopy.guests.batch.allowance import Allowance


def work(seconds: float) -> int:
    """Use the processor for so long; return the nanoseconds that it took by the clock."""
    began, end = time.perf_counter_ns(), time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return time.perf_counter_ns() - began


def test_who_worked_for_longer_than_twice_its_time_is_told_so() -> None:
    allowance = Allowance(0.01)
    allowance.begin()
    with pytest.raises(GuestTimeout, match="in the host"):
        allowance.check(work(0.1))


def test_time_in_which_others_had_the_processor_is_not_its_own() -> None:
    allowance = Allowance(0.01)
    allowance.begin()
    began = time.perf_counter_ns()
    threading.Event().wait(0.1)
    allowance.check(time.perf_counter_ns() - began)


def test_what_others_worked_before_in_the_step_is_not_its_own() -> None:
    allowance = Allowance(0.01)
    allowance.begin()
    work(0.1)
    allowance.check(0)
