"""What a run starts with."""

from __future__ import annotations

import time

from onecopy.agents.worker.start import Start


def test_each_start_has_a_seed_of_its_own_and_the_present_time():
    before = time.time_ns()
    one, other = Start.new(), Start.new()
    assert one.seed != other.seed
    assert before <= one.time_ns <= other.time_ns <= time.time_ns()
    assert one.waits
