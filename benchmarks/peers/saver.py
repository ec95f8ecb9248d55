"""The saving process of a peer: starts it, saves, and leads its readers.

Run by the benchmark as ``python -m benchmarks.peers.saver PEER ROOT FD``: one JSON message in, one
out, over the socket with descriptor FD.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.peers import reader
from benchmarks.peers.base import Peer, sweep
from benchmarks.peers.processes import adopt_orphans, end_children
from benchmarks.peers.registry import PEERS

WARM_UP = 5
now = time.perf_counter_ns


def main() -> None:
    """Serve until the other end hangs up, then leave nothing behind."""
    name, root, fd = sys.argv[1:]
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    wire, saver = Connection(int(fd)), None
    try:
        saver = Saver(name, PEERS[name].create(), Path(root))
        serve(saver, wire)
    except Exception as error:
        reply(wire, {"error": f"{type(error).__name__}: {error}"})
        receive(wire)  # the log is still wanted
    finally:
        if saver:
            saver.stop()
        end_children()
        sweep(Path(root))


def serve(saver: Saver, wire: Connection) -> None:
    """One command after the other; an error is an answer too."""
    reply(wire, os.getpid())
    while (message := receive(wire)) is not None:
        try:
            answer = getattr(saver, message.pop("do"))(**message)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        reply(wire, answer)


def receive(wire: Connection) -> Any:
    """The next message, ``None`` when there will be no other."""
    try:
        return json.loads(wire.recv_bytes())
    except (EOFError, OSError):
        return None


def reply(wire: Connection, answer: Any) -> None:
    """Send one message; nobody may be listening any more."""
    try:
        wire.send_bytes(json.dumps(answer).encode())
    except OSError:
        pass


class Saver:
    """The commands. Handles stay here; the benchmark sees numbers in their place."""

    def __init__(self, name: str, peer: Peer, root: Path) -> None:
        self.name, self.peer, self.root = name, peer, root
        self.address: Any = None
        self.started = False
        self.handles: dict[int, Any] = {}
        self.readers: list[tuple[Any, Connection]] = []

    # --- life

    def start(self) -> int:
        """Start the peer; nanoseconds until it answered."""
        begin = now()
        self.address = self.peer.start(self.root)
        self.started = True
        return now() - begin

    def restart(self) -> int:
        """Stop and start again; nanoseconds of the start."""
        self.stop()
        return self.start()

    def stop(self) -> None:
        """Readers first."""
        self.dismiss()
        self.handles.clear()
        if self.started:
            self.started = False
            self.peer.stop()

    def pids(self) -> list[int]:
        """The peer's own processes."""
        return self.peer.pids()

    # --- saves

    def save(self, sizes: list[int]) -> int:
        """Save a new value; its key."""
        return self._keep(self.peer.save(self.peer.prepare(self.peer.value(sizes))))

    def fill(self, size: int, count: int) -> int:
        """Save one value under ``count`` names."""
        value = self.peer.value([size])
        for _ in range(count):
            self._keep(self.peer.save(value))
        return count

    def time_save(self, sizes: list[int], count: int, pause: float) -> list[int]:
        """Save and drop ``count`` times; the pause lets a server tidy up between two saves."""
        gc.disable()
        value = self.peer.value(sizes)
        times = [self._save_once(value, pause) for _ in range(count)]
        gc.enable()
        return times

    def _save_once(self, value: Any, pause: float) -> int:
        ready = self.peer.prepare(value)
        begin = now()
        handle = self.peer.save(ready)
        took = now() - begin
        self.peer.drop(handle)
        if pause:
            time.sleep(pause)
        return took

    def drop(self, key: int) -> None:
        """Forget one value."""
        self.peer.drop(self.handles.pop(key))

    def _keep(self, handle: Any) -> int:
        self.handles[len(self.handles)] = handle
        return len(self.handles) - 1

    # --- batches

    def batches(self, size: int, kind: str, count: int) -> list[Any]:
        """Let a DataLoader worker make batches, and take them."""
        from benchmarks.peers.batches import measure

        return measure(self.peer, size, kind, count)

    # --- readers

    def hire(self, count: int) -> list[int]:
        """Start readers; their pids."""
        context = multiprocessing.get_context("spawn")
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=reader.main, args=(self.name, self.address, theirs))
            process.start()
            theirs.close()
            self.readers.append((process, ours))
        return [_answer(pipe) for _, pipe in self.readers]

    def dismiss(self) -> None:
        """End all readers."""
        for process, pipe in self.readers:
            _send(pipe, None)
            process.join(10)
            process.kill()
            process.join()
        self.readers.clear()

    def load(
        self, keys: list[int], budget: float, touch: bool = False, many: bool = False
    ) -> list[list[int]]:
        """Time loads by the first reader for about ``budget`` seconds."""
        warm_up = self._load(keys, WARM_UP, touch, many)
        typical = sorted(map(sum, zip(*warm_up, strict=True)))[WARM_UP // 2]
        count = min(self.peer.at_most, max(5, int(budget * 1e9 / typical)))
        return self._load(keys, count, touch, many)

    def first(self, key: int) -> list[int]:
        """Time the first load of the first reader, which has loaded nothing before."""
        return self._load([key], 1, False, False)[0]

    def _load(self, keys: list[int], count: int, touch: bool, many: bool) -> list[list[int]]:
        for key in keys:
            self.peer.offer(self.handles[key], count)
        command = {"handles": self._exported(keys), "count": count, "touch": touch, "many": many}
        times: list[list[int]] = self._tell(1, "load", command)[0]
        return times

    def repeat(self, key: int, count: int) -> list[int]:
        """Time loads by the first reader while an earlier result lives."""
        self.peer.offer(self.handles[key], count + 1)
        times: list[int] = self._tell(
            1, "repeat", {"handles": self._exported([key]), "count": count}
        )[0]
        return times

    def calls(self, key: int, count: int) -> int:
        """System calls of ``count`` loads by the first reader while an earlier result lives."""
        calls: int = self._tell(1, "calls", {"handles": self._exported([key]), "count": count})[0]
        return calls

    def rate(self, key: int, readers: int, seconds: float) -> list[float]:
        """Loads in a second of each of ``readers`` readers that run at the same time."""
        return self._tell(readers, "rate", {"handles": self._exported([key]), "seconds": seconds})

    def hold(self, key: int) -> list[float]:
        """All readers load, read every byte and keep the value; the sums that they read."""
        self.peer.offer(self.handles[key], len(self.readers))
        return self._tell(len(self.readers), "hold", {"handles": self._exported([key])})

    def release(self) -> None:
        """All readers let go."""
        self._tell(len(self.readers), "release", {})

    def _exported(self, keys: list[int]) -> list[Any]:
        return [self.peer.export(self.handles[key]) for key in keys]

    def _tell(self, readers: int, verb: str, arguments: dict[str, Any]) -> list[Any]:
        pipes = [pipe for _, pipe in self.readers[:readers]]
        for pipe in pipes:
            pipe.send((verb, arguments))
        return [_answer(pipe) for pipe in pipes]


def _send(pipe: Connection, message: Any) -> None:
    try:
        pipe.send(message)
    except OSError:
        pass


def _answer(pipe: Connection) -> Any:
    answer = pipe.recv()
    if isinstance(answer, dict):
        raise RuntimeError(f"reader: {answer['error']}")
    return answer


if __name__ == "__main__":
    main()
