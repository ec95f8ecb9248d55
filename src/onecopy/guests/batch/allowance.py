"""What a guest may take of a step, by the clock and by the processor."""

from __future__ import annotations

from time import perf_counter_ns, thread_time_ns

from onecopy.errors import GuestTimeout
from onecopy.guests.wasm.engine import ticks


class Allowance:
    """Of each guest of a bench, in each step."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.epochs = ticks(seconds)
        # Twice its time: the first mask of a grammar takes the engine longer than the next ones.
        self.most = int(2e9 * seconds)
        """Nanoseconds, what it calls in the host included; beyond them, `check`."""
        self._begun = (0, 0)

    def begin(self) -> None:
        """Note that a step begins, in this thread."""
        self._begun = thread_time_ns(), perf_counter_ns()

    def check(self, took: int) -> None:
        """Raise `GuestTimeout` for a guest that spent too much in the host's functions.

        Its deadline ends it only while it runs itself. What counts is this thread's processor time:
        that others had the processor is not its fault. The rest of the step had no more of that
        than it took by the other clock.
        """
        spent = thread_time_ns() - self._begun[0] - (perf_counter_ns() - self._begun[1] - took)
        if spent > self.most:
            raise GuestTimeout(f"the guest took {spent / 1e6:.0f} ms, most of them in the host")
