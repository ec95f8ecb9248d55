"""A service of workers that has a guest loop until it is cut off, and tells by two clocks."""

from __future__ import annotations

import time
from typing import Any, ClassVar, Final

from onecopy.errors import GuestTimeout
from onecopy.guests.instance.guest import Instance
from onecopy.guests.instance.host import Host
from onecopy.guests.workers.messages import Message

MEMORY: Final = 1 << 20


class Took(Message, frozen=True, gc=False):
    """How long a call took: by the clock, and of that on a processor. Seconds."""

    clock: float
    processor: float


class Loop(Message, frozen=True, gc=False):
    """Calls `loop` of a new guest, as any call is made."""

    answer: ClassVar[Any] = Took
    digest: str
    seconds: float


MESSAGES = Loop


class Service:
    """Makes the guest, calls it, and drops it."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker

    def handle(self, message: Loop, _fds: list[int]) -> Took:
        """Do what the message says."""
        instance = Instance(self._worker.module(message.digest), Host(), MEMORY)
        try:
            instance.start(message.seconds)
            return self._cut_off(instance, message.seconds)
        finally:
            instance.close()

    def _cut_off(self, instance: Instance, seconds: float) -> Took:
        export = instance.export("loop")
        self._worker.keep_time()
        clock, processor = time.perf_counter(), time.thread_time()
        try:
            instance.invoke(export, seconds=seconds)
        except GuestTimeout:
            return Took(time.perf_counter() - clock, time.thread_time() - processor)
        raise AssertionError("it returned")
