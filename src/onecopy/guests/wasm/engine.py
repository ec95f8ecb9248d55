"""The Wasm engine: one per process, set up for windows, deadlines and repeatable results.

Its settings are part of what a compiled module is good for, so they are in one place and have a
name, `SETTINGS`, which the cache of compiled modules puts into its keys.
"""

from __future__ import annotations

import functools
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

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


class Ticker:
    """Advances the engine's epoch while somebody has a deadline, from a thread of its own."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._users = 0
        self._thread: threading.Thread | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the time of guests pass inside the block."""
        with self._condition:
            self._users += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._tick, name="epochs", daemon=True)
                self._thread.start()
            elif self._users == 1:
                self._condition.notify()
        try:
            yield
        finally:
            with self._condition:
                self._users -= 1

    def _tick(self) -> None:
        increment = engine().increment_epoch
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._users)
            time.sleep(TICK_SECONDS)
            increment()


ticker: Final = Ticker()


def ticks(seconds: float) -> int:
    """Return the epochs to wait for so that at least `seconds` pass."""
    return int(seconds / TICK_SECONDS) + 1
