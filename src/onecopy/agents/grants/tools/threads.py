"""Functions of others in threads: what does not return in time is left behind, and counted."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from onecopy.agents.calls import TIMEOUT, UNAVAILABLE, Refused

MOST: Final = 16
"""How many calls of one function may run at once, those that were left behind included."""


class Threads:
    """Runs functions, each call in a thread of its own, which keeps no program from ending."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._running: Counter[str] = Counter()
        self._lock = threading.Lock()

    async def run(self, name: str, work: Callable[[], Any], seconds: float) -> Any:
        """Return what `work` returns; it raises what that raises.

        Raises:
            Refused: `timeout`, or `unavailable` where too many calls of that name run.
        """
        self._enter(name)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def body() -> None:
            result, error = None, None
            try:
                result = work()
            except BaseException as raised:
                error = raised
            self._leave(name)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, future, result, error)

        threading.Thread(target=body, name=f"onecopy-tool-{name}", daemon=True).start()
        try:
            return await asyncio.wait_for(future, seconds)
        except asyncio.TimeoutError:
            if future.done() and not future.cancelled():
                raise  # its own
            raise Refused(TIMEOUT, f"{name} took longer than {seconds:g} s") from None

    def _enter(self, name: str) -> None:
        with self._lock:
            if self._running[name] >= self._most:
                raise Refused(
                    UNAVAILABLE, f"{self._running[name]} calls of {name} run already; try later"
                )
            self._running[name] += 1

    def _leave(self, name: str) -> None:
        with self._lock:
            self._running[name] -= 1


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):  # which a future does not take
        future.set_exception(RuntimeError(str(error)))
    else:
        future.set_exception(error)
