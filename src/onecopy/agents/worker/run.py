"""One run of an agent: what its guest has asked for, and whether it may go on."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Final, NoReturn

from onecopy.agents.calls import TOO_LARGE, Call, Refusal, Reply
from onecopy.agents.worker.determined import Clock, Stream
from onecopy.agents.worker.engine import ticker
from onecopy.agents.worker.holdings import Holdings
from onecopy.agents.worker.limits import LOG_LINE_NBYTES, SAID_NBYTES
from onecopy.agents.worker.messages import Answer, Asked, Logged

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.agents.worker.limits import Limits
    from onecopy.agents.worker.messages import Begin, Message

CANCELLED: Final = "the run was cancelled"


class Stop(Exception):
    """Ends the run of the thread that raises it, within a call of the guest; the text says why."""


class Run:
    """Used by the thread of its guest; `answer` and `cancel` are for others.

    Args:
        begin: the event, seed and time that it starts with.
        limits: how much it may take.
        send: sends a message to the server; raises `OverflowError` for one that is too long.
    """

    def __init__(self, begin: Begin, limits: Limits, send: Callable[[Message], object]) -> None:
        self.begin = begin
        self.limits = limits
        self.clock = Clock(begin.time_ns)
        self.stream = Stream(begin.seed)
        self.holdings = Holdings(self._printed)
        self.failure = ""
        """Why the guest was stopped, if it was."""
        self._send = send
        self._answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        self._cancelled = False
        self._started = time.monotonic()
        self._calls = 0
        self._log_room = limits.log

    # ---- for others ----

    def answer(self, answer: Answer) -> None:
        """Hand over the answer to the call that the guest waits for."""
        self._answers.put(answer)

    def cancel(self) -> None:
        """Stop the guest, wherever it is."""
        self._cancelled = True
        self._answers.put(None)

    # ---- for the guest's thread ----

    @property
    def seconds(self) -> float:
        """How long it has run, waits included."""
        return time.monotonic() - self._started

    def fail(self, text: str) -> None:
        """Note why the guest is stopped; the first reason counts."""
        self.failure = self.failure or text

    def stop(self, text: str) -> NoReturn:
        """Stop the guest."""
        raise Stop(text)

    def check(self) -> None:
        """Stop the guest if it was cancelled, or has used up its time."""
        if self._cancelled:
            self.stop(CANCELLED)
        if time.thread_time() > self.limits.cpu_seconds:
            self.stop(
                f"the agent computed for more than {self.limits.cpu_seconds:g} s; raise "
                "`cpu_seconds` under [limits] in agent.toml"
            )
        if self.seconds > self.limits.seconds:
            self._late()

    def _late(self) -> NoReturn:
        self.stop(
            f"the agent did not end within {self.limits.seconds:g} s; raise `seconds` under "
            "[limits] in agent.toml"
        )

    def ask(self, call: Call) -> Reply:
        """Call the host, and wait for its answer."""
        self.check()
        self._calls += 1
        if self._calls > self.limits.calls:
            self.stop(
                f"the agent made more than {self.limits.calls} calls; raise `calls` under "
                "[limits] in agent.toml"
            )
        try:
            self._send(Asked(self.begin.run, call))
        except OverflowError:
            text = f"over {SAID_NBYTES >> 20} MiB in one call; pass less"
            return Reply(error=Refusal(TOO_LARGE, text))
        answer = self._waited(None)
        assert answer is not None
        self.clock.set(answer.time_ns)
        return Reply(answer.value, answer.error)

    def sleep_until(self, at_ns: int) -> None:
        """Wait until the monotonic clock of the guest shows a time."""
        self.check()
        missing = at_ns - self.clock.monotonic_ns
        if missing <= 0:
            return
        if self.begin.waits:
            self._waited(missing / 1e9)
        elif missing / 1e9 > self.limits.seconds:
            self._late()
        self.clock.sleep(missing)

    def _waited(self, seconds: float | None) -> Answer | None:
        """Return the next answer, or None after some seconds."""
        left = self.limits.seconds - self.seconds
        ticker.stop()
        try:
            answer = self._answers.get(
                timeout=max(left if seconds is None else min(seconds, left), 0)
            )
        except queue.Empty:
            if seconds is None or seconds > left:
                self._late()
            return None
        finally:
            ticker.start()
        if answer is None:
            self.stop(CANCELLED)
        return answer

    def log(self, call: Call) -> None:
        """Send a line or a step to the log, as long as there is room for it."""
        if self._log_room < 0:
            return
        self._log_room -= LOG_LINE_NBYTES + len(call.arguments[-1].encode(errors="replace"))
        if self._log_room < 0:
            text = "the log is full; raise `log` under [limits] in agent.toml"
            call = Call("log.write", ["warning", text])
        self._send(Logged(self.begin.run, call))

    def _printed(self, level: str, text: str) -> None:
        self.log(Call("log.write", [level, text]))
