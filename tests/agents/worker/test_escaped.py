"""Attacks: what speaks for a worker after its guest has broken out does the server no harm."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from onecopy.agents.calls import Call, Refusal
from onecopy.agents.outcome import FAILED, LOST, OK
from onecopy.agents.worker import messages, remote
from onecopy.agents.worker.limits import LOG_LINE_NBYTES, TEXT_LIMIT, Limits
from onecopy.agents.worker.messages import Answer, Asked, Ended, Logged, Ready
from onecopy.agents.worker.remote import RemoteWorker
from onecopy.agents.worker.spawn import Spawned
from onecopy.agents.worker.start import Start
from onecopy.errors import InvalidModule, WorkerLost
from tests.agents.worker.hosts import Scripted, Silent

ESCAPED = Path(__file__).with_name("escaped.py")
LIMITS = Limits(calls=3, log=100)
READY = messages.frame(Ready([])).hex()
ASKED = messages.frame(Asked(1, Call("kv.get", ["agent", "key"]))).hex()
LOGGED = messages.frame(Logged(1, Call("log.step", ["name"]))).hex()


def framed(data: bytes) -> str:
    return (len(data).to_bytes(4, "little") + data).hex()


def ended(run=1, status=OK, text='"text"', **others) -> str:
    fields = {"started_ms": 1.0, "seconds": 1.0, "cpu_seconds": 1.0, "memory": 1, **others}
    return messages.frame(Ended(run, status, text, **fields)).hex()


@pytest.fixture
def escaped(monkeypatch):
    """Has the next worker be one that says what it is told."""

    def make(*script: str) -> None:
        def spawn(component: int, limits: Limits) -> Spawned:
            ours, theirs = socket.socketpair()
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            ours.setblocking(False)
            command = [sys.executable, "-S", str(ESCAPED), str(theirs.fileno())]
            process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.PIPE, stderr=writer
            )
            process.stdin.write("\n".join(script).encode())
            process.stdin.close()
            theirs.close()
            os.close(writer)
            return Spawned(process, ours, reader)

        monkeypatch.setattr(remote, "spawn", spawn)

    return make


async def begun() -> RemoteWorker:
    return await RemoteWorker.started(-1, LIMITS, "escaped")


async def run(worker: RemoteWorker, host):
    return await worker.run('"event"', host, Start.new(), time.monotonic())


def nested(depth: int) -> bytes:
    return b"\x93\xa5Asked\x01\x92\xa1x" + b"\x91" * depth + b"\xc0"


@pytest.mark.parametrize(
    "said",
    [
        framed(b""),
        framed(b"\xc1"),
        framed(b"no msgpack"),
        framed(nested(100_000)),
        framed(msgspec.msgpack.encode(["Ready", ["lacks"], "more"]) + b"rest"),
        framed(msgspec.msgpack.encode(["Cancel", 1])),
        framed(msgspec.msgpack.encode(["Asked", "1", ["kv.get", []]])),
        framed(msgspec.msgpack.encode(["Asked", 1, {"name": b"\xff", "arguments": []}])),
        framed(b"\x93\xa5Asked\x01\x82\xa4name\xa1\xff\xa9arguments\x90"),
        "ffffffff",
        (messages.FROM_WORKER_NBYTES + 1).to_bytes(4, "little").hex(),
        READY,
        messages.frame(Answer(1, None, Refusal("x", "y"), 1)).hex(),
        ended(run=2),
        ended(run=-1),
        ended(run=1 << 63),
        ended(status=LOST),
        ended(status="running"),
        messages.frame(Asked(2, Call("kv.get", []))).hex(),
        messages.frame(Logged(2, Call("log.step", ["name"]))).hex(),
        messages.frame(Logged(1, Call("kv.get", []))).hex(),
        messages.frame(Asked(1, Call("log.step", ["name"]))).hex(),
        messages.frame(Asked(1, Call("kv.shout", []))).hex(),
        messages.frame(Logged(1, Call("log.step", [1]))).hex(),
        messages.frame(Logged(1, Call("log.step", []))).hex(),
        messages.frame(Logged(1, Call("log.write", ["loud", "text"]))).hex(),
        ended(seconds=float("nan")),
        ended(memory=-1),
        "".join([LOGGED] * (100 // LOG_LINE_NBYTES + 3)),
        "flood",
        "close",
    ],
)
def test_nonsense_ends_the_worker_and_its_runs(escaped, said):
    escaped(READY, "begin", said)

    async def main():
        worker = await begun()
        outcome = await run(worker, Scripted())
        assert outcome.status == LOST
        await worker.closed()
        with pytest.raises(ProcessLookupError):
            os.kill(worker.pid, 0)
        assert (await run(worker, Scripted())).status == LOST

    asyncio.run(main())


@pytest.mark.parametrize("said", [ASKED, LOGGED])
def test_a_run_that_waits_for_an_answer_can_say_nothing(escaped, said):
    escaped(READY, "begin", ASKED + said)

    async def main():
        host = Silent()
        assert (await run(await begun(), host)).status == LOST
        assert host.cancelled == host.asked.is_set()

    asyncio.run(main())


def test_a_run_can_end_while_it_waits_for_an_answer(escaped):
    escaped(READY, "begin", ASKED, ended(status=FAILED, text="over its time"))

    async def main():
        worker = await begun()
        outcome = await run(worker, Silent())
        assert (outcome.status, outcome.text) == (FAILED, "over its time")
        worker.kill("the test has ended")
        await worker.closed()

    asyncio.run(main())


def test_more_calls_than_a_run_may_make_end_the_worker(escaped):
    escaped(READY, "begin", *[ASKED, "begin"] * 4, ended())

    async def main():
        host = Scripted()
        assert (await run(await begun(), host)).status == LOST
        assert len(host.calls) == 3

    asyncio.run(main())


def test_speaking_after_the_end_of_a_run_ends_the_worker(escaped):
    escaped(READY, "begin", ended() + ended())

    async def main():
        worker = await begun()
        assert (await run(worker, Scripted())).status == OK
        await worker.closed()

    asyncio.run(main())


def test_an_answer_that_is_no_json_fails_the_run(escaped):
    escaped(READY, "begin", ended(text="[" * 1_000_000))

    async def main():
        worker = await begun()
        assert (await run(worker, Scripted())).status == FAILED
        worker.kill("the test has ended")
        await worker.closed()

    asyncio.run(main())


def test_a_long_reason_is_cut(escaped):
    escaped(READY, "begin", ended(status=FAILED, text="x" * 1_000_000))

    async def main():
        worker = await begun()
        assert (await run(worker, Scripted())).text == "x" * TEXT_LIMIT
        worker.kill("the test has ended")
        await worker.closed()

    asyncio.run(main())


@pytest.mark.parametrize("script", [(ended(),), ("ffffffff",), ("close",), (ASKED, READY)])
def test_a_worker_that_does_not_start_as_one_is_lost(escaped, script):
    escaped(*script)
    with pytest.raises(WorkerLost, match="did not start"):
        asyncio.run(begun())


def test_a_worker_with_a_component_that_cannot_begin_says_so(escaped):
    escaped(messages.frame(Ready([], "why" * 10_000)).hex())
    with pytest.raises(InvalidModule, match="^" + ("why" * 10_000)[:TEXT_LIMIT] + "$"):
        asyncio.run(begun())


def test_a_worker_that_never_is_ready_is_lost(escaped, monkeypatch):
    monkeypatch.setattr(remote, "_PATIENCE", 0.05)
    escaped()
    with pytest.raises(WorkerLost, match="did not start"):
        asyncio.run(begun())


def test_a_worker_that_ends_no_run_is_ended(escaped, monkeypatch):
    monkeypatch.setattr(remote, "GRACE", 0.05)
    escaped(READY)

    async def main():
        worker = await RemoteWorker.started(-1, Limits(seconds=0.05), "escaped")
        outcome = await run(worker, Scripted())
        assert outcome.status == FAILED
        assert "did not end a run" in outcome.text

    asyncio.run(main())


def test_a_worker_that_cancels_no_run_is_ended(escaped, monkeypatch):
    monkeypatch.setattr(remote, "GRACE", 0.05)
    escaped(READY, "begin", ASKED)

    async def main():
        worker = await begun()
        host = Silent()
        task = asyncio.create_task(run(worker, host))
        await host.asked.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await worker.closed()
        assert "cancellation" in str(worker.lost)

    asyncio.run(main())
