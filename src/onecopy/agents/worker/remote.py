"""The server's end of one worker: its runs, and what it may say of them.

A guest may have broken out of WebAssembly, and speak for its worker. So each message is checked;
one that no worker of ours would send ends the process. It never gets more than its agent's grants:
those are the host's to check.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import time
from typing import TYPE_CHECKING, Any, Final

from onecopy.agents.calls import FAILED, TOO_LARGE, Refusal, Reply
from onecopy.agents.worker import messages
from onecopy.agents.worker.conversation import Conversation, Lost
from onecopy.agents.worker.limits import TEXT_LIMIT
from onecopy.agents.worker.messages import Answer, Begin, Cancel, Ended, Ready
from onecopy.agents.worker.spawn import Spawned, spawn
from onecopy.errors import InvalidModule, ProtocolError, WorkerLost

if TYPE_CHECKING:
    from onecopy.agents.calls import Host
    from onecopy.agents.outcome import Outcome
    from onecopy.agents.worker.limits import Limits
    from onecopy.agents.worker.messages import Message
    from onecopy.agents.worker.start import Start

    Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_log = logging.getLogger(__name__)
_PATIENCE: Final = 120.0
"""Seconds in which a worker gets ready."""
GRACE: Final = 10.0
"""Seconds in which it ends a run that is over its time, or was cancelled."""


class RemoteWorker:
    """One process; `started` makes it, and `lost` is set when it has ended."""

    def __init__(self, spawned: Spawned, streams: Streams, limits: Limits, name: str) -> None:
        self.name = name
        self.running: dict[int, Conversation] = {}
        self.lost: Lost | None = None
        self._spawned = spawned
        self._reader, self._writer = streams
        self._listening: asyncio.Task[None] | None = None
        self._limits = limits
        self._numbers = itertools.count(1)
        self._reason = ""

    @classmethod
    async def started(cls, component: int, limits: Limits, name: str) -> RemoteWorker:
        """Start a process, and return when it waits for runs.

        Raises:
            WorkerLost: it ended, or hangs.
            InvalidModule: no run of the component can begin.
        """
        spawned = spawn(component, limits)
        streams = await asyncio.open_unix_connection(sock=spawned.sock)
        self = cls(spawned, streams, limits, name)
        try:
            ready = await asyncio.wait_for(self._received(), _PATIENCE)
            if not isinstance(ready, Ready):
                raise ProtocolError("its first message is none that says that it is ready")
            if ready.fault:
                raise InvalidModule(ready.fault[:TEXT_LIMIT])
        except BaseException as error:
            self.kill(f"it did not start: {type(error).__name__} {error}")
            await self._ended()
            if isinstance(error, Exception) and not isinstance(error, InvalidModule):
                raise WorkerLost(str(self.lost)) from error
            raise
        for text in ready.lacks:
            _log.warning("the worker of agent %s is less confined: %s", name, text)
        self._listening = asyncio.create_task(self._listen())
        return self

    @property
    def pid(self) -> int:
        """The process."""
        return self._spawned.process.pid

    def kill(self, why: str) -> None:
        """End the process; its runs are lost."""
        self._reason = self._reason or why
        self._spawned.process.kill()

    async def closed(self) -> None:
        """Return when it has ended."""
        if self._listening is not None:
            await asyncio.shield(self._listening)

    # ---- runs ----

    async def run(self, event: str, host: Host, start: Start, asked: float) -> Outcome:
        """Run the agent once; what the host raises ends the run."""
        number = next(self._numbers)
        talk = self.running[number] = Conversation(self._limits)
        overdue = asyncio.get_running_loop().call_later(
            self._limits.seconds + GRACE, self._overdue, talk
        )
        try:
            self._send(Begin(number, event, start.seed, start.time_ns, start.waits, asked))
            if self.lost:
                talk.end(self.lost)
            return await talk.hold(host, lambda reply: self._answer(number, reply))
        except BaseException:
            self._abandon(number, talk)
            raise
        finally:
            overdue.cancel()
            if not talk.abandoned:
                self.running.pop(number, None)

    def _overdue(self, talk: Conversation) -> None:
        talk.overdue = True
        self.kill(f"it did not end a run within {self._limits.seconds:g} s")

    def _abandon(self, number: int, talk: Conversation) -> None:
        if talk.ended or self.lost:
            return
        talk.abandoned = True
        self._send(Cancel(number))
        asyncio.get_running_loop().call_later(GRACE, self._check_abandoned, number)

    def _check_abandoned(self, number: int) -> None:
        if number in self.running:
            self.kill(f"it did not end a run within {GRACE:g} s of its cancellation")

    def _answer(self, number: int, reply: Reply) -> None:
        time_ns = reply.time_ns or time.time_ns()
        try:
            self._send(Answer(number, reply.value, reply.error, time_ns))
        except OverflowError as error:
            refusal = Refusal(TOO_LARGE, f"the host's answer is too long: {error}; ask for less")
            self._send(Answer(number, None, refusal, time_ns))
        except (TypeError, ValueError):
            _log.exception("an answer for agent %s is no JSON", self.name)
            refusal = Refusal(FAILED, "the host failed; its log says why")
            self._send(Answer(number, None, refusal, time_ns))

    def _send(self, message: Message) -> None:
        data = messages.frame(message)
        if not self.lost:
            self._writer.write(data)

    # ---- what it says ----

    async def _received(self) -> Any:
        head = await self._reader.readexactly(messages.HEAD_NBYTES)
        nbytes = messages.length(head, messages.FROM_WORKER_NBYTES)
        return messages.from_worker(await self._reader.readexactly(nbytes))

    async def _listen(self) -> None:
        try:
            while True:
                self._take(await self._received())
        except ProtocolError as error:
            _log.error("the worker of agent %s is ended: %s", self.name, error)
            self.kill(str(error))
        except (asyncio.IncompleteReadError, OSError):
            pass
        except Exception as error:
            _log.exception("the worker of agent %s cannot be listened to", self.name)
            self.kill(f"{type(error).__name__}: {error}")
        finally:
            await self._ended()

    def _take(self, message: Any) -> None:
        talk = None if isinstance(message, Ready) else self.running.get(message.run)
        if talk is None:
            raise ProtocolError(f"it speaks of a run that it does not have ({message!r:.200})")
        if talk.abandoned:
            if isinstance(message, Ended):
                del self.running[message.run]
            return
        talk.take(message)

    async def _ended(self) -> None:
        self._spawned.process.kill()
        loop = asyncio.get_running_loop()
        status = await asyncio.shield(loop.run_in_executor(None, self._spawned.process.wait))
        said = self._spawned.said()
        os.close(self._spawned.errors)
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        why = self._reason or (f"signal {-status}" if status < 0 else f"status {status}")
        text = f"the worker of agent {self.name} ended: {why}" + (f"\n{said}" if said else "")
        self.lost = Lost(text)
        for talk in self.running.values():
            talk.end(self.lost)
