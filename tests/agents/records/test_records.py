"""Run records as the server writes them and others read them."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from onecopy.agents.calls import Call, Refusal, Reply
from onecopy.agents.event import Event
from onecopy.agents.outcome import FAILED, LOST, OK, Outcome
from onecopy.agents.queue.file import File
from onecopy.agents.records import recorder as limits
from onecopy.agents.records import records as records_module
from onecopy.agents.records.ledger import day_of
from onecopy.agents.records.reader import Reader
from onecopy.agents.records.recorder import Recorder
from onecopy.agents.records.records import Records
from onecopy.agents.records.schema import SCHEMA
from onecopy.errors import QueueUnavailable
from tests.agents.queue.opening import START, Clock
from tests.processes import script

T = TypeVar("T")
EVENT = Event("e1", "bot", "webhook", "pull_request.opened", "o/r#1", {"repo": "o/r"}, {"n": 1})
GET = Call("http.send", [{"method": "GET", "url": "https://x.example/", "headers": []}])
ANSWER = Reply({"status": 200, "headers": [], "body": "text " * 1000})
REFUSED = Reply(error=Refusal("not-granted", "add to agent.toml: …"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "records.db"


def use(path: Path, act: Callable[[Records], Awaitable[T]], **options: Any) -> T:
    async def run() -> T:
        records = Records.open(path, **options)
        try:
            return await act(records)
        finally:
            await records.close()

    return asyncio.run(run())


def begin(records: Records, event: Event = EVENT) -> Recorder:
    return records.begin(event, seed=b"\1\2", time_ns=17 * 10**17, component="sha256:ab")


def test_a_run_is_read_as_it_was_recorded(path):
    async def act(records: Records) -> None:
        recorder = begin(records)
        recorder.step("read")
        recorder.call(GET, ANSWER, START + 1, 0.5)
        recorder.call(GET, REFUSED, START + 2, 0.25)
        recorder.log("info", "two files")
        recorder.usage("small", 1000, 100, 0.25)
        recorder.end(Outcome(OK, '"done"', 0.3, 2.0, 0.01, 1 << 20))
        await records.flush()
        run = records.run(recorder.id)
        assert (run.event, run.seed, run.time_ns) == (EVENT, b"\1\2", 17 * 10**17)
        assert [(each.call, each.reply) for each in run.calls] == [(GET, ANSWER), (GET, REFUSED)]
        assert [item.sort for item in run.items] == ["step", "call", "call", "log", "usage"]
        assert [item.error for item in run.items if item.error] == ["not-granted"]
        assert run.log[0].value == "two files"
        assert run.outcome == Outcome(OK, '"done"', 0.3, 2.0, 0.01, 1 << 20)
        assert (run.component, run.inexact) == ("sha256:ab", "")
        summary = run.summary
        assert records.runs() == [summary]
        assert (summary.status, summary.calls, summary.input_tokens, summary.usd) == (
            OK, 2, 1000, 0.25,
        )  # fmt: skip

    use(path, act, clock=Clock())


def test_what_a_guest_logs_is_a_line_or_a_step_and_no_call(path):
    async def act(records: Records) -> None:
        recorder = begin(records)
        recorder.call(Call("log.step", ["read"]), Reply(), START + 1, 0)
        recorder.call(Call("log.write", ["warning", "large"]), Reply(), START + 2, 0)
        recorder.call(Call("log.step", ["write"]), Reply(), START + 4, 0)
        recorder.end(Outcome(OK, "null"))
        await records.flush()
        run = records.run(recorder.id)
        assert run.calls == []
        assert [(line.name, line.value) for line in run.log] == [("warning", "large")]
        assert [(step.name, step.seconds) for step in run.steps] == [("read", 3), ("write", 6)]

    use(path, act, clock=Clock(START + 10))


def test_a_view_can_follow_while_it_runs(path):
    async def act(records: Records) -> None:
        recorder = begin(records)
        recorder.log("info", "one")
        await records.flush()
        with_reader = Reader(path)
        tail = with_reader.tail(recorder.id)
        assert ([item.value for item in tail.items], tail.status) == (["one"], "running")
        recorder.call(GET, ANSWER, START, 0.1)
        recorder.end(Outcome(FAILED, "trapped"))
        await records.flush()
        tail = with_reader.tail(recorder.id, after=tail.items[-1].seq)
        assert ([item.name for item in tail.items], tail.status) == (["http.send"], FAILED)
        assert with_reader.tail("no such") is None
        with_reader.close()

    use(path, act)


def test_lists_have_pages_newest_first(path):
    async def act(records: Records) -> None:
        ids = [begin(records, EVENT).id for _ in range(5)]
        await records.flush()
        first = records.runs(limit=2)
        second = records.runs(limit=10, before=first[-1].id)
        assert [run.id for run in (*first, *second)] == ids[::-1]
        assert records.runs(agent="other") == records.runs(event="e2") == []
        assert len(records.runs(status="running")) == 5

    use(path, act)


class TestSecrets:
    def test_they_are_nowhere_in_the_file(self, path):
        secret = "hunter22"

        async def act(records: Records) -> str:
            recorder = begin(
                records, Event("e1", "bot", "cli", "x", "s", {}, {secret: ["a " + secret]})
            )
            recorder.call(Call("kv.set", [secret]), Reply({"deep": [{secret: secret}]}), START, 0.1)
            recorder.log("info", f"token {secret}")
            recorder.step(secret)
            recorder.usage(secret, 1, 1)
            recorder.end(Outcome(OK, secret))
            await records.flush()
            run = records.run(recorder.id)
            assert run.calls[0].reply.value == {"deep": [{"[secret]": "[secret]"}]}
            assert run.inexact == "secrets were taken out"
            assert all(secret.encode() not in file.read_bytes() for file in path.parent.iterdir())
            return recorder.id

        use(path, act, redact=lambda text: text.replace(secret, "[secret]"))


class TestSizes:
    def test_a_call_that_is_too_large_leaves_its_name_and_size(self, path, monkeypatch):
        monkeypatch.setattr(limits, "ITEM", 1000)

        async def act(records: Records) -> None:
            recorder = begin(records)
            recorder.call(GET, ANSWER, START, 0.1)
            recorder.call(GET, REFUSED, START, 0.1)
            recorder.end(Outcome(OK, "null"))
            await records.flush()
            run = records.run(recorder.id)
            assert [each.reply for each in run.calls] == [REFUSED]
            assert run.items[0].size > 5000
            assert "too much for the record" in run.inexact

        use(path, act)

    def test_large_ones_are_compressed(self, path):
        async def act(records: Records) -> None:
            recorder = begin(records)
            for _ in range(20):
                recorder.call(GET, Reply("all the same " * 100_000), START, 0.1)
            await records.flush()

        use(path, act)
        assert path.stat().st_size < 1 << 20


def test_a_call_that_is_no_json_is_not_recorded_and_nothing_fails(path):
    async def act(records: Records) -> None:
        recorder = begin(records)
        recorder.call(Call("kv.set", ["\ud800"]), Reply(), START, 0.1)
        recorder.call(Call("log.write", [{"no": "text"}]), Reply(), START, 0.1)
        recorder.step("fine")
        recorder.end(Outcome(OK, "null"))
        await records.flush()
        run = records.run(recorder.id)
        assert "no JSON" in run.inexact
        assert [item.name for item in run.items] == ["kv.set", "log.write", "fine"]

    use(path, act)


class TestTotals:
    def test_they_are_known_at_once_and_after_a_restart(self, path):
        clock = Clock()

        async def spend(records: Records) -> float:
            recorder = begin(records)
            recorder.usage("small", 10, 1, 0.5)
            return records.today("bot").usd

        assert [use(path, spend, clock=clock) for _ in range(2)] == [0.5, 1.0]
        clock.now += 86400
        assert use(path, spend, clock=clock) == 0.5
        reader = Reader(path)
        totals = reader.totals("bot")
        assert [(each.day, each.usd) for each in totals] == [
            (day_of(START) + 1, 0.5),
            (day_of(START), 1.0),
        ]
        assert reader.totals(since=day_of(START) + 1) == totals[:1]
        reader.close()

    def test_they_stay_when_records_are_deleted(self, path):
        clock = Clock()

        async def act(records: Records) -> None:
            recorder = begin(records)
            recorder.usage("small", 10, 1, 0.5)
            recorder.end(Outcome(FAILED, "no"))
            clock.now += 101
            await records.purge(100)
            assert records.runs() == []
            total = records.totals()[0]
            assert (total.runs, total.failed, total.usd) == (1, 1, 0.5)

        use(path, act, clock=clock)


class TestRetention:
    def test_old_runs_go_with_all_they_had_and_their_room_is_given_back(self, path):
        clock = Clock()

        async def act(records: Records) -> None:
            for _ in range(50):
                recorder = begin(records)
                recorder.call(GET, Reply(list(range(5000))), START, 0.1)
                recorder.end(Outcome(OK, "null"))
            running = begin(records)
            clock.now += 101
            kept = begin(records)
            await records.purge(100)
            assert {run.id for run in records.runs()} == {kept.id, running.id}

        use(path, act, clock=clock)
        with sqlite3.connect(path) as db:
            assert db.execute("SELECT count(*) FROM items").fetchone() == (0,)
        db.close()
        assert path.stat().st_size < 100_000

    def test_each_agent_may_have_its_own(self, path):
        clock = Clock()

        async def act(records: Records) -> None:
            for agent in ("brief", "long"):
                event = Event("e", agent, "cli", "k", "s", {})
                begin(records, event).end(Outcome(OK, "null"))
            clock.now += 50
            await records.purge(10, ["brief"])
            await records.purge(100, ["long"])
            assert [run.agent for run in records.runs()] == ["long"]

        use(path, act, clock=clock)


def test_runs_that_a_server_left_behind_are_lost_ones(path):
    async def leave(records: Records) -> str:
        return begin(records).id

    async def look(records: Records) -> None:
        run = records.run(left)
        assert (run.outcome.status, run.summary.status) == (LOST, LOST)
        assert run.inexact

    left = use(path, leave)
    use(path, look)


WRITING = """
import asyncio, sys
from onecopy.agents.event import Event
from onecopy.agents.outcome import Outcome
from onecopy.agents.records.records import Records

async def main(path):
    records = Records.open(path)
    for n in range(50):
        recorder = records.begin(Event(f"e{n}", "bot", "cli", "k", "s", {}), seed=b"", time_ns=0)
        recorder.usage("small", 1, 0, 0.25)
        recorder.end(Outcome("ok", "null"))
        await records.flush()
    records.begin(Event("last", "bot", "cli", "k", "s", {}), seed=b"", time_ns=0)
    await records.flush()
    print("written", flush=True)
    sys.stdin.read()

asyncio.run(main(sys.argv[1]))
"""


class TestSeveralProcesses:
    def test_they_write_one_file_and_their_totals_add_up(self, path):
        with script(WRITING, path) as one, script(WRITING, path) as other:
            assert one.stdout.readline() == other.stdout.readline() == "written\n"
        reader = Reader(path)
        assert len(reader.runs(status="ok", limit=1000)) == 100
        assert sum(total.usd for total in reader.totals()) == 25
        reader.close()

    def test_a_run_is_lost_once_its_process_has_ended_and_not_before(self, path):
        async def act(records: Records) -> None:
            def status() -> str:
                return records.runs(event="last")[0].status

            ours = begin(records)
            with script(WRITING, path) as other:
                assert await asyncio.to_thread(other.stdout.readline) == "written\n"
                await records.purge(1e9)
                assert status() == "running"
                other.kill()
                other.wait()
                await records.purge(1e9)
                assert status() == LOST
            assert records.run(ours.id).outcome is None

        use(path, act)


def test_a_file_of_the_first_version_is_brought_up_to_date(path):
    first = File(path, SCHEMA._replace(steps=SCHEMA.steps[:1]), "FULL")
    first.connect().close()
    first.close()

    async def act(records: Records) -> None:
        recorder = begin(records)
        await records.flush()
        assert records.run(recorder.id) is not None

    use(path, act)


def test_a_backup_has_all_runs(path, tmp_path):
    async def act(records: Records) -> str:
        recorder = begin(records)
        await records.flush()
        await records.backup(tmp_path / "copy.db")
        return recorder.id

    run = use(path, act)
    reader = Reader(tmp_path / "copy.db")
    assert reader.run(run) is not None
    reader.close()


def test_a_queue_is_no_file_of_records(path):
    from tests.agents.queue.opening import use as use_queue

    async def nothing(_: Any) -> None:
        pass

    use_queue(path, nothing)
    with pytest.raises(QueueUnavailable, match="not a file of run records"):
        use(path, nothing)
    with pytest.raises(QueueUnavailable, match="not a file of run records"):
        Reader(path)


class TestTrouble:
    def test_a_full_disk_fails_no_run_and_the_record_says_what_is_missing(self, path):
        async def act(records: Records) -> None:
            await pragma(records, "max_page_count = 40")
            recorder = begin(records)
            recorder.call(GET, Reply(noise(300_000)), START, 0.1)
            recorder.log("info", "small")
            recorder.usage("small", 10, 1, 0.5)
            await records.flush()
            await pragma(records, "max_page_count = 100000")
            recorder.end(Outcome(OK, "null"))
            await records.flush()
            run = records.run(recorder.id)
            assert [item.sort for item in run.items] == ["log", "usage"]
            assert "no room for it" in run.inexact
            assert run.outcome.status == OK

        use(path, act)

    def test_a_run_that_began_on_a_full_disk_is_recorded_once_there_is_room(self, path):
        async def act(records: Records) -> None:
            await pragma(records, "max_page_count = 20")
            recorder = begin(records, msgspec.structs.replace(EVENT, payload=noise(300_000)))
            recorder.usage("small", 10, 1, 0.5)
            await records.flush()
            assert records.runs() == []
            assert records.today("bot").usd == 0.5
            await pragma(records, "max_page_count = 100000")
            recorder.end(Outcome(OK, "null"))
            await records.flush()
            assert (records.runs()[0].status, records.runs()[0].usd) == (OK, 0.5)
            assert records.totals()[0].usd == 0.5

        use(path, act)

    def test_a_run_that_outlives_the_file_does_not_fail(self, path):
        async def act(records: Records) -> Recorder:
            return begin(records)

        recorder = use(path, act)
        recorder.call(GET, ANSWER, START, 0.1)
        recorder.end(Outcome(OK, "null"))

    def test_a_disk_that_does_not_keep_up_costs_bodies_and_not_memory(self, path, monkeypatch):
        monkeypatch.setattr(records_module, "BEHIND", 100_000)

        async def act(records: Records) -> None:
            recorder = begin(records)
            for _ in range(100):
                recorder.call(GET, ANSWER, START, 0.1)
            await records.flush()
            recorder.end(Outcome(OK, "null"))
            await records.flush()
            run = records.run(recorder.id)
            assert len(run.items) == 100
            assert 0 < len(run.calls) < 100
            assert "too much for the record" in run.inexact

        use(path, act)

    def test_what_was_recorded_is_there_after_a_kill(self, path):
        code = """
        import asyncio, sys
        from onecopy.agents.calls import Call, Reply
        from onecopy.agents.event import Event
        from onecopy.agents.records.records import Records

        async def main(path):
            records = Records.open(path)
            recorder = records.begin(
                Event("e1", "bot", "cli", "k", "s", {}), seed=b"1", time_ns=1
            )
            number = 0
            while True:
                number += 1
                recorder.call(Call("kv.get", ["agent", "x" * 3000]), Reply(number), 0.0, 0.0)
                recorder.usage("small", 1, 0, 0.25)
                if number % 7 == 0:
                    await records.flush()
                    print(number, flush=True)

        asyncio.run(main(sys.argv[1]))
        """
        with script(code, path) as child:
            lines = [child.stdout.readline() for _ in range(20)]
            child.kill()
            said = int([*lines, *child.stdout.readlines()][-1])

        async def look(records: Records) -> None:
            (summary,) = records.runs()
            run = records.run(summary.id)
            assert summary.status == LOST
            assert [item.seq for item in run.items] == list(range(1, len(run.items) + 1))
            assert [each.reply.value for each in run.calls] == list(range(1, summary.calls + 1))
            assert summary.calls >= said
            spent = len(run.items) // 2 * 0.25
            assert summary.usd == spent
            assert sum(total.usd for total in records.totals()) == spent

        use(path, look)


def noise(nbytes: int) -> str:
    """A text that cannot be compressed to much less than half."""
    return random.Random(0).randbytes(nbytes // 2).hex()


async def pragma(records: Records, text: str) -> None:
    def act(db: sqlite3.Connection) -> None:
        db.execute(f"PRAGMA {text}").fetchall()

    await records._writer.submit(act)
