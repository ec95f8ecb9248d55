"""The reading process of a peer: attaches, then obeys one command after the other."""

from __future__ import annotations

import gc
import os
import time
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.peers.base import Peer
from benchmarks.peers.registry import PEERS
from benchmarks.peers.tracing import count_calls

now = time.perf_counter_ns


def main(name: str, address: Any, pipe: Connection) -> None:
    """Entry of the process. Ends with a ``None``, or when the other end has gone."""
    peer = PEERS[name].create()
    peer.attach(address)
    reader = Reader(peer)
    pipe.send(os.getpid())
    gc.collect()
    gc.freeze()
    gc.disable()
    while (command := _next(pipe)) is not None:
        verb, arguments = command
        pipe.send(_attempt(reader, verb, arguments))
    reader.release()
    peer.detach()


def _next(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except (EOFError, OSError, KeyboardInterrupt):
        return None


def _attempt(reader: Reader, verb: str, arguments: dict[str, Any]) -> Any:
    try:
        return getattr(reader, verb)(**arguments)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


class Reader:
    """The commands; handles arrive as the peer exports them."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.held: Any = None

    def load(self, handles: list[Any], count: int, touch: bool, many: bool) -> list[list[int]]:
        """Load ``count`` times; nanoseconds of each load and of each release."""
        work, target = self._work(handles, many)
        times = [self._once(work, target, touch) for _ in range(count)]
        return [list(column) for column in zip(*times, strict=True)]

    def _once(self, work: Any, target: Any, touch: bool) -> tuple[int, int]:
        begin = now()
        value = work(target)
        if touch:
            self.peer.touch(value)
        ready = now()
        self.peer.free(value)
        del value
        return ready - begin, now() - ready

    def repeat(self, handles: list[Any], count: int) -> list[int]:
        """Load ``count`` times while an earlier result lives."""
        work, target = self._work(handles, False)
        first = work(target)
        times = [self._once(work, target, False)[0] for _ in range(count)]
        self.peer.free(first)
        return times

    def calls(self, handles: list[Any], count: int) -> int:
        """System calls of ``count`` loads while an earlier result lives."""
        work, target = self._work(handles, False)
        first = [work(target), work(target)]

        def act() -> None:
            for _ in range(count):
                work(target)

        calls = count_calls(act)
        self.peer.free(first)
        return calls

    def rate(self, handles: list[Any], seconds: float) -> float:
        """Loads in a second, over ``seconds``."""
        work, target = self._work(handles, False)
        free, count, begin = self.peer.free, 0, now()
        end = begin + int(seconds * 1e9)
        while now() < end:
            for _ in range(20):
                value = work(target)
                free(value)
                del value
            count += 20
        return count / ((now() - begin) / 1e9)

    def hold(self, handles: list[Any]) -> float:
        """Load one value, read every byte of it and keep it."""
        self.release()
        work, target = self._work(handles, False)
        self.held = work(target)
        return self.peer.sweep(self.held)

    def release(self) -> None:
        """Let go of what ``hold`` kept."""
        if self.held is not None:
            self.peer.free(self.held)
        self.held = None

    def _work(self, handles: list[Any], many: bool) -> tuple[Any, Any]:
        admitted = [self.peer.admit(handle) for handle in handles]
        return (self.peer.load_many, admitted) if many else (self.peer.load, admitted[0])
