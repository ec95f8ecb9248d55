"""Replay: the same outcome from the record alone, and what tells of another."""

from __future__ import annotations

import asyncio
import json
import time

import msgspec
import pytest

from onecopy.agents.calls import Call, Refusal, Reply
from onecopy.agents.outcome import FAILED, OK
from onecopy.agents.replay import Replay, replay
from onecopy.agents.worker.start import Start
from onecopy.errors import ReplayDiverged


class Recording:
    """Answers with what differs from one run to the next, and records that."""

    def __init__(self) -> None:
        self.calls: list[tuple[Call, Reply]] = []

    async def answer(self, call: Call) -> Reply:
        now = time.time_ns()
        reply = Reply(str(now), time_ns=now)
        if len(self.calls) % 3 == 2:
            reply = Reply(error=Refusal("busy", str(now)), time_ns=now)
        if not call.name.startswith("log."):
            self.calls.append((call, reply))
        return reply


def test_a_replay_ends_as_the_run_did(workers, python_agent):
    event = json.dumps({"do": "clocks", "with": {"asks": 2, "nap": 0.01}})

    async def main():
        async with workers(python_agent) as pool:
            start, host = Start.new(), Recording()
            first = await pool.run(event, host, start)
            assert first.status == OK
            # As it comes back from a file.
            calls = msgspec.json.decode(
                msgspec.json.encode(host.calls), type=list[tuple[Call, Reply]]
            )
            again = await replay(pool, event, start, calls)
            assert (again.status, again.text) == (first.status, first.text)
            other = await pool.run(event, Recording(), Start.new())
            assert other.text != first.text

    asyncio.run(main())


def test_a_run_that_failed_by_itself_fails_again(workers):
    async def main():
        async with workers(calls=5) as pool:
            start, host = Start.new(), Recording()
            first = await pool.run('"flood"', host, start)
            again = await replay(pool, '"flood"', start, host.calls)
            assert first.status == FAILED
            assert (again.status, again.text) == (first.status, first.text)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("event", "calls", "text"),
    [
        ('"call"', [], "call 1 is llm.chat.*the record has no more"),
        (
            '"call"',
            [Call("kv.get", ["a"])],
            r"call 1 is llm.chat.*in the record it is kv.get\('a'\)",
        ),
        ('"echo"', [Call("kv.get", ["a"])], "ended after 0 calls; in the record call 1 is kv.get"),
    ],
)
def test_another_call_than_then_is_told(workers, event, calls, text):
    async def main():
        async with workers() as pool:
            with pytest.raises(ReplayDiverged, match=text):
                await replay(pool, event, Start.new(), [(call, Reply("")) for call in calls])
            assert (await pool.run('"echo"', Replay([]))).status == OK

    asyncio.run(main())


def test_sleeps_are_not_waited_for(workers):
    async def main():
        async with workers(seconds=7200) as pool:
            assert (await replay(pool, '"Sleep for an hour"', Start.new(), [])).status == OK

    asyncio.run(main())


def test_what_is_logged_is_kept_but_not_compared():
    async def main():
        host = Replay([])
        line = Call("log.write", ["info", "text"])
        assert await host.answer(line) == Reply()
        assert host.logged == [line]
        host.check_ended()

    asyncio.run(main())
