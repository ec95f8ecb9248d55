"""The Wasm engine of agents, and the clock by which their guests are interrupted.

Its settings differ from those of guests with windows: components have memories in several modules,
and interpreters recurse deeper.
"""

from __future__ import annotations

import atexit
import functools
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import wasmtime

SETTINGS: Final[dict[str, object]] = {
    "wasm_multi_memory": True,
    "wasm_memory64": False,
    # The order in which threads run is in no record, so no replay could repeat it.
    "wasm_threads": False,
    "wasm_relaxed_simd_deterministic": True,
    "cranelift_nan_canonicalization": True,
    "epoch_interruption": True,
    "max_wasm_stack": 1 << 20,
}
STACK_NBYTES: Final = 2 << 20
"""Of a thread that runs a guest: the guest's, and as much for the host's calls."""
TICK_SECONDS: Final = 0.01


@functools.cache
def engine() -> wasmtime.Engine:
    """Return the engine of this process; made when first asked for."""
    import wasmtime

    config = wasmtime.Config()
    for name, value in SETTINGS.items():
        setattr(config, name, value)
    # At the interpreter's end, its library would be gone before it.
    atexit.register(engine.cache_clear)
    return wasmtime.Engine(config)


class Ticker:
    """Interrupts guests every `TICK_SECONDS`, while there is one that computes."""

    def __init__(self) -> None:
        self._computing = 0
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """A guest begins to compute, or goes on."""
        with self._lock:
            self._computing += 1
            if self._computing == 1:
                self._wanted.set()
                self._started()

    def stop(self) -> None:
        """A guest waits, or has ended."""
        with self._lock:
            self._computing -= 1
            if not self._computing:
                self._wanted.clear()

    def _started(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ticks", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        increment = engine().increment_epoch
        while True:
            self._wanted.wait()
            time.sleep(TICK_SECONDS)
            increment()


ticker: Final = Ticker()
