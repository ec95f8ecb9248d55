"""The server's side of one run: the calls of the guest, one after another, until it ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.agents import outcome
from onecopy.agents.outcome import Outcome
from onecopy.agents.worker.limits import LOG_LINE_NBYTES, TEXT_LIMIT
from onecopy.agents.worker.messages import Asked, Ended, Logged
from onecopy.agents.worker.world import LEVELS, NAMES
from onecopy.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.agents.calls import Call, Host, Reply
    from onecopy.agents.worker.limits import Limits

_LINES: Final = {"log.write": 2, "log.step": 1}
"""How many arguments they have."""
_STATUSES: Final = {outcome.OK, outcome.ERROR, outcome.FAILED}


class Lost(msgspec.Struct, frozen=True):
    """The worker has ended, and why."""

    text: str

    def __str__(self) -> str:
        return self.text


class Conversation:
    """What a worker may say of one run; `ProtocolError` is for anything else."""

    def __init__(self, limits: Limits) -> None:
        self.abandoned = False
        """Nobody waits for it any more."""
        self.overdue = False
        self.ended = False
        self._messages: asyncio.Queue[Any] = asyncio.Queue()
        self._asking: asyncio.Task[Reply] | None = None
        self._waits = False
        """The guest waits for an answer, so it can say nothing."""
        self._calls = limits.calls
        self._lines = limits.log // LOG_LINE_NBYTES + 2

    def take(self, message: Any) -> None:
        """Take the worker's next message."""
        if self.ended:
            raise ProtocolError("it speaks of a run that it has ended")
        if isinstance(message, Ended):
            if message.status not in _STATUSES:
                raise ProtocolError(f"it ends a run as {message.status!r:.100}")
            self.end(message)
        elif self._waits:
            raise ProtocolError("it speaks of a run that waits for an answer")
        else:
            _check(message)
            self._count(message)
            self._waits = isinstance(message, Asked)
            self._messages.put_nowait(message)

    def _count(self, message: Any) -> None:
        if isinstance(message, Asked):
            self._calls -= 1
        else:
            self._lines -= 1
        if self._lines < 0 or self._calls < 0:
            raise ProtocolError("it makes more calls than a run may")

    def end(self, last: Ended | Lost) -> None:
        """End it; a call that the host is carrying out is cancelled."""
        if self.ended:
            return
        self.ended = True
        self._messages.put_nowait(last)
        if self._asking is not None:
            self._asking.cancel()

    async def hold(self, host: Host, answer: Callable[[Reply], object]) -> Outcome:
        """Answer calls until the run ends."""
        while True:
            message = await self._messages.get()
            if isinstance(message, Ended):
                return _outcome(message)
            if isinstance(message, Lost):
                return Outcome(outcome.FAILED if self.overdue else outcome.LOST, message.text)
            if not isinstance(message, Asked):
                await host.answer(message.call)
            elif (reply := await self._asked(host, message.call)) is not None:
                self._waits = False
                answer(reply)

    async def _asked(self, host: Host, call: Call) -> Reply | None:
        """Return the host's answer, or None if nobody waits for it any more."""
        if self.ended:
            return None
        self._asking = asking = asyncio.create_task(_answer(host, call))
        try:
            await asyncio.wait({asking})
        except asyncio.CancelledError:
            asking.cancel()
            await asyncio.wait({asking})  # what it has begun with the host ends first
            raise
        finally:
            self._asking = None
        return None if asking.cancelled() and self._is_over() else asking.result()

    def _is_over(self) -> bool:
        return self.ended


async def _answer(host: Host, call: Call) -> Reply:
    return await host.answer(call)


def _check(message: Asked | Logged) -> None:
    """Raise `ProtocolError` for a call that no guest can make; arguments are for the host."""
    name, arguments = message.call.name, message.call.arguments
    if (name in _LINES) != isinstance(message, Logged) or name not in NAMES:
        raise ProtocolError(f"it calls {name!r:.100}, or in a wrong way")
    if isinstance(message, Logged):
        texts = [isinstance(each, str) for each in arguments]
        if texts != [True] * _LINES[name] or (len(texts) > 1 and arguments[0] not in LEVELS):
            raise ProtocolError(f"it calls {name} with {arguments!r:.100}")


def _outcome(ended: Ended) -> Outcome:
    status, text = ended.status, ended.text
    if status == outcome.OK and not _is_json(text):
        status, text = outcome.FAILED, f"`handle` returned no JSON: {text[:200]!r}"
    if status == outcome.FAILED:
        text = text[:TEXT_LIMIT]
    return Outcome(status, text, ended.started_ms, ended.seconds, ended.cpu_seconds, ended.memory)


def _is_json(text: str) -> bool:
    try:
        # Looked at, and not made of: millions of empty lists would be millions of objects.
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return False
    return True
