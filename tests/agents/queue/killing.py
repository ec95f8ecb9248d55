"""Servers that are killed at any moment, one after another, on one file.

    python -m tests.agents.queue.killing FILE ROUNDS SEED

Each round forks a server that puts and takes, and writes a line to a pipe once it knows something;
it is killed after some of them. What it knew must hold for ever.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from onecopy.agents.queue.queue import Queue
from onecopy.agents.queue.reader import Reader
from onecopy.agents.queue.submission import Submission
from tests.agents.queue.watching import ENDS, check, watch

KINDS = ("push.new", "issue_comment.created")


@dataclass
class Known:
    """What servers have said before they died."""

    accepted: dict[str, str] = field(default_factory=dict)  # by delivery
    ended: dict[str, str] = field(default_factory=dict)
    taken: int = 0

    def hear(self, line: str) -> None:
        word, *rest = line.split()
        if word == "put":
            delivery, event, status = rest
            known = self.accepted.setdefault(delivery, event)
            assert known == event, "an accepted delivery became another event"
            assert status in ("new", "duplicate")
        elif word == "take":
            assert rest[0] not in self.ended, "an event ran after its end"
            self.taken += 1
        else:
            event, state = rest
            assert event not in self.ended, "an event ended twice"
            self.ended[event] = state


def main(path: Path, rounds: int, seed: int) -> None:
    """Kill servers, let a last one finish, and check what is left."""
    chance, known = random.Random(seed), Known()
    asyncio.run(finish(path))
    watch(path)
    for number in range(rounds):
        one_round(path, known, chance, number)
    asyncio.run(finish(path))
    paths = check(path)
    with closing(Reader(path)) as reader:
        for delivery, event in known.accepted.items():
            entry = reader.get(event)
            assert entry is not None, "an accepted event is lost"
            assert (entry.delivery, entry.state in ENDS) == (delivery, True)
            assert known.ended.get(event, entry.state) == entry.state
    for path_of in paths.values():
        assert sum(state in ENDS for state in path_of) == 1, "an event has not ended once"
    print(len(known.accepted), known.taken, len(known.ended))


def one_round(path: Path, known: Known, chance: random.Random, number: int) -> None:
    lines, said = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(lines)
        try:
            asyncio.run(serve(path, said, random.Random(number)))
        finally:
            os._exit(1)
    os.close(said)
    enough, data = chance.randrange(80), b""
    while data.count(b"\n") < enough and (more := os.read(lines, 4096)):
        data += more
    # Anywhere within what it does next: its commits take about as long.
    time.sleep(chance.random() * 0.002)
    os.kill(child, signal.SIGKILL)
    while more := os.read(lines, 4096):
        data += more
    os.close(lines)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status), "a server failed"
    for line in data.decode().splitlines():  # each was written at once
        known.hear(line)


async def serve(path: Path, said: int, chance: random.Random) -> None:
    queue = Queue.open(path)

    def say(*words: str) -> None:
        os.write(said, (" ".join(words) + "\n").encode())

    async def accept() -> None:
        while True:
            delivery = str(chance.randrange(3000))
            submission = Submission(
                agent="ab"[int(delivery) % 2], trigger="webhook", kind=chance.choice(KINDS),
                subject=chance.choice("xyz"), fields={}, attempts=50,
                payload="." * chance.randrange(9000),
            )  # fmt: skip
            # Another body each time: a redelivery of the same would revive the dead.
            put = await queue.put(submission, delivery, f"hash {chance.random()}")
            say("put", delivery, put.id, put.status)

    async def work() -> None:
        while True:
            event = await queue.take()
            if event is None:
                await queue.wait()
                continue
            say("take", event.id)
            await deal_with(queue, event.id, chance, say)

    await asyncio.gather(accept(), accept(), work(), work(), work())


async def deal_with(queue: Queue, event: str, chance: random.Random, say) -> None:
    what = chance.randrange(4)
    if what == 0:
        state = await queue.retry(event, "503", delay=0.0)
        if state != "queued":
            say("end", event, str(state))
    elif what == 1:
        if await queue.dead(event, "no"):
            say("end", event, "dead")
    elif await queue.done(event, "yes"):
        say("end", event, "done")


async def finish(path: Path) -> None:
    """Deal with all that is left."""
    queue = Queue.open(path)
    while (event := await queue.take()) is not None:
        await queue.done(event.id)
    await queue.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
