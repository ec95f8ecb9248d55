"""The Wasm engine: one per process, set up for windows, deadlines and repeatable results.

Its settings are part of what a compiled module is good for, so they are in one place and have a
name, `SETTINGS`, which the cache of compiled modules puts into its keys.
"""

from __future__ import annotations

import functools
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import wasmtime

SETTINGS: Final[dict[str, object]] = {
    # A memory that moved would take its windows' addresses with it, and leave a private copy
    # where the tensor was. 32-bit memories in their default reservation of 4 GiB never move.
    "memory_may_move": False,
    "wasm_memory64": False,
    "wasm_multi_memory": False,
    # No second thread of the guest may change what the host has just checked.
    "wasm_threads": False,
    # State that the host could not copy: forks and rollbacks restore memory and globals only.
    "wasm_gc": False,
    "wasm_exceptions": False,
    # A sequence that is replayed after a worker's death must decide as it did before.
    "wasm_relaxed_simd_deterministic": True,
    "cranelift_nan_canonicalization": True,
    "epoch_interruption": True,
    # Far less than a thread's stack: a guest that recurses traps, and does not fault.
    "max_wasm_stack": 256 << 10,
}

TICK_SECONDS: Final = 0.0005
SLOWEST: Final = 4
"""Ticks after which an epoch is over, whoever had the processors."""


@functools.cache
def engine() -> wasmtime.Engine:
    """Return the engine of this process; made when first asked for.

    `faulthandler.enable()` must come before it, not after: the later handler of SIGSEGV would
    take traps for crashes.
    """
    import wasmtime

    config = wasmtime.Config()
    for name, value in SETTINGS.items():
        setattr(config, name, value)
    return wasmtime.Engine(config)


class Meter:
    """Says when one more epoch has passed, by the time that this process had a processor.

    Not by the clock on the wall: on a busy machine the ticker's thread, which sleeps nearly always,
    gets its turns in time, and a guest in the same process does not. It would be cut off for what
    others do. But what waits without using a processor, for pages of a file perhaps, holds up its
    neighbours: so an epoch is over after a few ticks in any case.
    """

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self._clock = clock
        self._last = 0.0
        self._used = 0.0
        self._ticks = 0

    def start(self) -> None:
        """Forget what was used until now."""
        self._last, self._used, self._ticks = self._clock(), 0.0, 0

    def passed(self) -> bool:
        """Return whether an epoch has passed since it did last; to be asked in each tick."""
        now = self._clock()
        # Of what was used beyond an epoch, at most one is left for the next ticks: it was not used
        # by the guest that runs then.
        self._used = min(self._used + now - self._last, 2 * TICK_SECONDS)
        self._last = now
        self._ticks += 1
        if self._used < TICK_SECONDS and self._ticks < SLOWEST:
            return False
        self._used = max(self._used - TICK_SECONDS, 0.0)
        self._ticks = 0
        return True


class Clock(Protocol):
    """Advances the engine's epoch every `TICK_SECONDS`, or as soon as it can after that."""

    def start(self) -> None:
        """Let epochs pass."""

    def stop(self) -> None:
        """Let none pass; it may be started again."""


class Sleeper:
    """A clock that is a thread: it sleeps, and advances the epoch."""

    def __init__(self) -> None:
        self._meter = Meter()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Let epochs pass."""
        self._wanted.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="epochs", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Let none pass, after the one that has begun."""
        self._wanted.clear()

    def _run(self) -> None:
        increment = engine().increment_epoch
        while True:
            if not self._wanted.is_set():
                self._wanted.wait()
                self._meter.start()
            time.sleep(TICK_SECONDS)
            if self._meter.passed():
                increment()


class Ticker:
    """Has a clock run while somebody has a deadline."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        """Replace it only while nobody has a deadline."""
        self._lock = threading.Lock()
        self._users = 0

    def running(self) -> Ticker:
        """Let the time of guests pass inside a `with` block, which may be within another."""
        return self  # no generator: every call of a guest is in such a block

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self.clock.start()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self.clock.stop()


ticker: Final = Ticker(Sleeper())


def ticks(seconds: float) -> int:
    """Return the epochs in which a guest has `seconds` of a processor, if there is one for it."""
    return int(seconds / TICK_SECONDS) + 1
