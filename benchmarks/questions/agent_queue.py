"""How many events a second does an agent server's queue have on disk, and see to their end?"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from pathlib import Path

from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.stage import Stage
from onecopy.agents.calls import Call, Reply
from onecopy.agents.event import Event
from onecopy.agents.outcome import OK, Outcome
from onecopy.agents.queue.queue import Queue
from onecopy.agents.queue.submission import Submission, body_hash
from onecopy.agents.records.records import Records

CLIENTS = 32  # that deliver at the same time
WORKERS = 16
LINES = "line of a large payload, such as GitHub's "
PAYLOAD = {"action": "synchronize", "lines": [f"{LINES}{n}" for n in range(500)]}  # 25 KB
ACCEPTED, SEEN_TO = "accepted, 32 deliveries at a time", "taken and done, 16 at a time"
RULER = "plain sqlite3: a commit for each"
RECORDED = "runs of 5 calls of 25 KB recorded"
WORK = "events of 25 KB"
now = time.perf_counter


def ask(stage: Stage) -> Answer:
    """Fill a queue and empty it, round after round, each in a new file."""
    rates = Table("in a second", "1/s", ours=ACCEPTED)
    waits = Table("from a delivery until it is on disk", "ms", ours=ACCEPTED)
    found: dict[str, list[float]] = {RULER: [], ACCEPTED: [], SEEN_TO: [], RECORDED: []}
    slowest: list[float] = []
    for turn in range(stage.scale.rounds):
        folder = stage.root / f"queue-{turn}"
        count = 32 * max(2, stage.scale.repeats // 100)
        asyncio.run(_round(folder, count, found, slowest))
    for title, each in found.items():
        rates.put_row(title, WORK, Summary.of(each))
    waits.put_row(ACCEPTED, "p99 of a round", Summary.of(slowest, 1e3))
    return Answer("agent_queue", [rates, waits], [
        Target("deliveries accepted by the queue", 1000, _rate(found, ACCEPTED), "1/s", True),
        Target("until one is on disk, p99", 50, Summary.of(slowest, 1e3).median, "ms"),
        Target("events taken and done", 200, _rate(found, SEEN_TO), "1/s", True),
    ])  # fmt: skip


def _rate(found: dict[str, list[float]], title: str) -> float:
    return Summary.of(found[title]).median


async def _round(
    folder: Path, count: int, found: dict[str, list[float]], slowest: list[float]
) -> None:
    queue = Queue.open(folder / "events.sqlite")
    found[RULER].append(count / 8 / _plain(folder / "plain.sqlite", count // 8))
    times: list[float] = []
    found[ACCEPTED].append(count / await _together(CLIENTS, _client(queue, count, times)))
    slowest.append(sorted(times)[int(0.99 * (len(times) - 1))])
    found[SEEN_TO].append(count / await _together(WORKERS, lambda _: _worker(queue)))
    assert (await queue.counts())["done"] == count
    await queue.close()
    found[RECORDED].append(await _recorded(folder / "records.sqlite", count // 4))


async def _together(many: int, one: Callable[[int], Awaitable[None]]) -> float:
    begin = now()
    await asyncio.gather(*map(one, range(many)))
    return now() - begin


def _client(queue: Queue, count: int, times: list[float]) -> Callable[[int], Awaitable[None]]:
    async def deliver(client: int) -> None:
        for number in _own(client, count):
            submission = Submission(
                agent="bot", trigger="webhook", kind="pull_request.synchronize",
                subject=f"o/r#{number}", fields={"repo": "o/r"}, payload=PAYLOAD,
            )  # fmt: skip
            begin = now()
            await queue.put(submission, f"d{number}", body_hash(b"%d" % number))
            times.append(now() - begin)

    return deliver


def _own(client: int, count: int) -> Iterable[int]:
    return range(client, count, CLIENTS)


async def _worker(queue: Queue) -> None:
    while (event := await queue.take()) is not None:
        await queue.done(event.id, "fine")


def _plain(path: Path, count: int) -> float:
    """What the disk does: one row of the same size for each commit, synced, one at a time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE plain (n INTEGER PRIMARY KEY, body BLOB)")
        begin = now()
        for _ in range(count):
            db.execute("INSERT INTO plain (body) VALUES (?)", (b"x" * 25_000,))
        return now() - begin


async def _recorded(path: Path, count: int) -> float:
    """Runs that are recorded in a second, until all are in the file."""
    records = Records.open(path)
    event = Event("e", "bot", "webhook", "pull_request.opened", "o/r#1", {}, PAYLOAD)
    call, reply = Call("http.send", [{"method": "GET"}]), Reply(PAYLOAD)
    begin = now()
    for _ in range(count):
        recorder = records.begin(event, seed=bytes(32), time_ns=0)
        for _ in range(5):
            recorder.call(call, reply, 0.0, 0.0)
        recorder.end(Outcome(OK, "null"))
        await asyncio.sleep(0)
    await records.flush()
    took = now() - begin
    await records.close()
    return count / took
