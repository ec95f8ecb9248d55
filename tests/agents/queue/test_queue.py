"""The queue as its server uses it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from onecopy.agents.queue.backoff import LONGEST
from onecopy.agents.queue.queue import Queue
from onecopy.agents.queue.submission import Accepted, body_hash
from onecopy.errors import InvalidEvent, QueueUnavailable
from tests.agents.queue.opening import Clock, submission, use

REVIEW, COMMENT = "pull_request.synchronize", "issue_comment.created"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "queue.db"


async def status(queue: Queue, event: str) -> str:
    entry = await queue.get(event)
    assert entry is not None
    return entry.state


async def killed(queue: Queue, event: str) -> None:
    """Have an event be dead."""
    taken = await queue.take()
    assert taken is not None
    assert taken.id == event
    assert await queue.dead(event, "broken")


def test_an_event_is_taken_as_it_was_put(path):
    async def act(queue: Queue) -> None:
        put = await queue.put(
            submission(payload={"number": 1, "text": "é\0"}), "d1", body_hash(b"{}")
        )
        event = await queue.take()
        assert (event.id, event.agent, event.kind, event.subject, event.attempt) == (
            put.id, "bot", "pull_request.opened", "o/r#1", 1,
        )  # fmt: skip
        assert (event.fields, event.payload) == ({"repo": "o/r"}, {"number": 1, "text": "é\0"})
        assert event.received == Clock().now
        assert await queue.done(put.id, "reviewed")
        entry = await queue.get(put.id)
        assert (entry.state, entry.why, entry.delivery) == ("done", "reviewed", "d1")

    use(path, act, clock=Clock())


def test_only_the_owner_can_read_the_files(path):
    async def act(queue: Queue) -> None:
        await queue.put(submission(), "d1")
        assert path.parent.stat().st_mode & 0o777 == 0o700
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
        assert set(modes) == {"queue.db", "queue.db-wal", "queue.db-shm", "queue.db.lock"}
        assert set(modes.values()) == {0o600}

    use(path, act)


class TestDuplicates:
    def test_a_delivery_that_comes_again_is_one(self, path):
        async def act(queue: Queue) -> None:
            first = await queue.put(submission(), "d1", "hash")
            assert await queue.put(submission(), "d1", "hash") == Accepted(first.id, "duplicate")
            await queue.done((await queue.take()).id)
            assert await queue.put(submission(), "d1", "hash") == Accepted(first.id, "duplicate")
            assert (await queue.counts())["done"] == 1

        use(path, act)

    def test_a_body_that_comes_again_under_another_id_is_one(self, path):
        async def act(queue: Queue) -> None:
            first = await queue.put(submission(), "d1", "hash")
            assert await queue.put(submission(), "d2", "hash") == Accepted(first.id, "duplicate")
            await queue.dead(first.id, "no")
            assert await queue.put(submission(), "d3", "hash") == Accepted(first.id, "duplicate")
            assert await status(queue, first.id) == "dead"

        use(path, act)

    def test_other_agents_and_triggers_have_their_own(self, path):
        async def act(queue: Queue) -> None:
            for each in (
                submission(),
                submission(agent="other"),
                submission(trigger="cli"),
                submission(source="/b"),
            ):
                assert (await queue.put(each, "d1", "hash")).status == "new"

        use(path, act)

    def test_a_redelivery_revives_a_dead_event_with_all_its_attempts(self, path):
        async def act(queue: Queue) -> None:
            first = await queue.put(submission(attempts=1), "d1", "hash")
            await queue.take()
            assert await queue.retry(first.id, "503") == "dead"
            assert await queue.put(submission(), "d1", "hash") == Accepted(first.id, "revived")
            assert (await queue.take()).attempt == 1

        use(path, act)

    def test_another_body_under_a_dead_events_id_does_not_revive_it(self, path):
        async def act(queue: Queue) -> None:
            dead = await queue.put(submission(), "d1", "hash")
            await killed(queue, dead.id)
            other = await queue.put(submission("o/r#2"), "d2", "hash of another")
            assert (await queue.put(submission(), "d1", "unknown")).status == "duplicate"
            assert (await queue.put(submission(), "d1", "hash of another")).status == "duplicate"
            assert await status(queue, dead.id) == "dead"
            assert await status(queue, other.id) == "queued"

        use(path, act)

    def test_they_are_known_for_longer_than_events_are_kept(self, path):
        clock = Clock()

        async def act(queue: Queue) -> None:
            first = await queue.put(submission(), "d1", "hash")
            await queue.done((await queue.take()).id)
            clock.now += 150
            await queue.purge()
            assert await queue.get(first.id) is None
            assert await queue.put(submission(), "d2", "hash") == Accepted(first.id, "duplicate")
            clock.now += 151
            await queue.purge()
            assert (await queue.put(submission(), "d2", "hash")).status == "new"

        use(path, act, clock=clock, keep=100, remember=300)


class TestCoalescing:
    def test_the_newest_of_those_that_wait_supersedes_them(self, path):
        async def act(queue: Queue) -> None:
            ids = [(await queue.put(submission(kind=REVIEW), "d0")).id]
            assert (await queue.take()).id == ids[0]
            ids += [(await queue.put(submission(kind=REVIEW), f"d{n}")).id for n in (1, 2, 3)]
            assert [await status(queue, each) for each in ids] == [
                "running", "superseded", "superseded", "queued",
            ]  # fmt: skip
            assert (await queue.get(ids[2])).successor == ids[3]
            assert await queue.take() is None
            await queue.done(ids[0])
            assert (await queue.take()).id == ids[3]

        use(path, act)

    def test_a_comment_is_not_swallowed_by_a_push_nor_by_another_comment(self, path):
        async def act(queue: Queue) -> None:
            kinds = (COMMENT, REVIEW, COMMENT)
            ids = [(await queue.put(submission(kind=k), f"d{n}")).id for n, k in enumerate(kinds)]
            for each in ids:
                assert (await queue.take()).id == each
                assert await queue.take() is None
                await queue.done(each)

        use(path, act)

    def test_a_retry_that_waits_gives_way_to_a_newer_event(self, path):
        async def act(queue: Queue) -> None:
            old = await queue.put(submission(), "d1")
            await queue.take()
            new = await queue.put(submission(kind=REVIEW), "d2")
            assert await queue.retry(old.id, "503") == "superseded"
            assert (await queue.get(old.id)).successor == new.id

        use(path, act)

    def test_a_revived_event_gives_way_to_a_newer_one(self, path):
        async def act(queue: Queue) -> None:
            old = await queue.put(submission(), "d1")
            await killed(queue, old.id)
            await queue.put(submission(), "d2")
            assert await queue.revive(old.id)
            assert await status(queue, old.id) == "superseded"

        use(path, act)

    def test_a_submission_may_name_its_class_or_none(self, path):
        async def act(queue: Queue) -> None:
            await queue.put(submission(coalesce=""), "d1")
            await queue.put(submission(coalesce=""), "d2")
            await queue.put(submission(coalesce="x"), "d3")
            await queue.put(submission(kind=COMMENT, coalesce="x"), "d4")
            counts = await queue.counts()
            assert (counts["queued"], counts["superseded"]) == (3, 1)

        use(path, act)


class TestRetries:
    def test_an_event_waits_longer_each_time_and_is_dead_after_its_attempts(self, path):
        clock = Clock()

        async def act(queue: Queue) -> None:
            put = await queue.put(submission(attempts=3), "d1")
            waits = []
            for attempt in (1, 2):
                assert (await queue.take()).attempt == attempt
                assert await queue.retry(put.id, "503") == "queued"
                assert await queue.take() is None
                waits.append((await queue.get(put.id)).due - clock.now)
                clock.now += waits[-1]
            assert waits[1] > 2 * waits[0] > 0
            await queue.take()
            assert await queue.retry(put.id, "503 again") == "dead"
            assert (await queue.get(put.id)).why == "503 again"

        use(path, act, clock=clock)

    def test_a_delay_may_be_given(self, path):
        clock = Clock()

        async def act(queue: Queue) -> None:
            put = await queue.put(submission(), "d1")
            await queue.take()
            await queue.retry(put.id, "429", delay=60)
            clock.now += 59
            assert await queue.take() is None
            clock.now += 1
            assert (await queue.take()).attempt == 2

        use(path, act, clock=clock)

    def test_one_that_waits_does_not_hold_up_its_subject(self, path):
        async def act(queue: Queue) -> None:
            failed = await queue.put(submission(kind=COMMENT), "d1")
            await queue.take()
            await queue.retry(failed.id, "503")
            later = await queue.put(submission(kind=COMMENT), "d2")
            assert (await queue.take()).id == later.id

        use(path, act, clock=Clock())

    def test_a_clock_that_was_far_ahead_delays_no_event_for_ever(self, path):
        clock = Clock()

        async def act(queue: Queue) -> None:
            clock.now += 10 * LONGEST
            put = await queue.put(submission(), "d1")
            await queue.take()
            await queue.retry(put.id, "503")
            clock.now -= 10 * LONGEST
            assert await queue.take() is None
            clock.now += 20
            assert (await queue.take()).id == put.id

        use(path, act, clock=clock)

    @pytest.mark.parametrize("hours", [-30, -5, -1])
    @pytest.mark.parametrize("again", [False, True])
    def test_a_clock_that_is_set_back_by_hours_lengthens_no_wait(self, path, hours, again):
        clock = Clock()

        async def fail(queue: Queue) -> None:
            put = await queue.put(submission(), "d1")
            await queue.take()
            await queue.retry(put.id, "503", delay=100)
            clock.now += 50
            assert await queue.take() is None

        async def look(queue: Queue) -> None:
            assert await queue.take() is None
            clock.now += 99
            assert await queue.take() is None
            clock.now += 1
            assert (await queue.take()).attempt == 2

        async def both(queue: Queue) -> None:
            await fail(queue)
            clock.now += hours * 3600
            await look(queue)

        if again:  # it was set back while no server ran
            use(path, fail, clock=clock)
            clock.now += hours * 3600
            use(path, look, clock=clock)
        else:
            use(path, both, clock=clock)

    def test_a_released_event_has_not_used_its_attempt(self, path):
        async def act(queue: Queue) -> None:
            put = await queue.put(submission(), "d1")
            await queue.take()
            assert await queue.release(put.id) == "queued"
            assert (await queue.take()).attempt == 1

        use(path, act)


class TestEnds:
    def test_an_event_ends_once(self, path):
        async def act(queue: Queue) -> None:
            put = await queue.put(submission(), "d1")
            assert not await queue.done(put.id)
            await queue.take()
            assert await queue.done(put.id, "first")
            assert not await queue.done(put.id, "second")
            assert not await queue.dead(put.id, "third")
            assert await queue.retry(put.id, "fourth") is None
            assert await queue.release(put.id) is None
            assert not await queue.revive(put.id)
            assert (await queue.get(put.id)).why == "first"

        use(path, act)

    def test_one_that_waits_can_be_given_up(self, path):
        async def act(queue: Queue) -> None:
            put = await queue.put(submission(), "d1")
            assert await queue.dead(put.id, "a person said so")
            assert await queue.take() is None

        use(path, act)

    def test_an_unknown_event_is_none(self, path):
        async def act(queue: Queue) -> None:
            assert not await queue.done("no such")
            assert await queue.retry("no such", "") is None
            assert await queue.get("no such") is None

        use(path, act)


class TestTurns:
    def test_a_subject_with_many_events_does_not_hold_up_another(self, path):
        async def act(queue: Queue) -> None:
            for n in range(5):
                await queue.put(submission("busy", COMMENT), f"b{n}")
            await queue.put(submission("quiet", COMMENT), "q")
            subjects = []
            for _ in range(3):
                event = await queue.take()
                subjects.append(event.subject)
                await queue.done(event.id)
            assert subjects == ["busy", "quiet", "busy"]

        use(path, act)

    def test_an_agent_with_many_subjects_does_not_hold_up_another(self, path):
        async def act(queue: Queue) -> None:
            for n in range(5):
                await queue.put(submission(f"s{n}", agent="busy"), f"b{n}")
            await queue.put(submission("s", agent="quiet"), "q")
            assert [(await queue.take()).agent for _ in range(3)] == ["busy", "quiet", "busy"]

        use(path, act)

    def test_subjects_take_turns_in_the_order_of_arrival(self, path):
        async def act(queue: Queue) -> None:
            for n in range(20):
                await queue.put(submission(f"s{n}"), f"d{n}")
            assert [(await queue.take()).subject for _ in range(20)] == [f"s{n}" for n in range(20)]

        use(path, act)

    def test_only_events_of_the_agents_asked_for_are_taken(self, path):
        async def act(queue: Queue) -> None:
            await queue.put(submission("s", agent="full"), "d1")
            assert await queue.take(["idle"]) is None
            assert (await queue.take(["idle", "full"])).agent == "full"

        use(path, act)


class TestWaiting:
    def test_it_ends_with_the_next_event(self, path):
        async def act(queue: Queue) -> None:
            assert await queue.take() is None
            waiter = asyncio.create_task(queue.wait())
            await queue.put(submission(), "d1")
            await waiter
            assert await queue.take() is not None

        use(path, act)

    def test_it_ends_when_a_subject_is_free(self, path):
        async def act(queue: Queue) -> None:
            first = await queue.put(submission(), "d1")
            await queue.take()
            await queue.put(submission(), "d2")
            assert await queue.take() is None
            waiter = asyncio.create_task(queue.wait())
            await queue.done(first.id)
            await waiter
            assert await queue.take() is not None

        use(path, act)

    def test_it_ends_when_a_retry_is_due(self, path):
        async def act(queue: Queue) -> None:
            put = await queue.put(submission(), "d1")
            await queue.take()
            await queue.retry(put.id, "503", delay=0.05)
            while (event := await queue.take()) is None:
                await queue.wait()
            assert event.attempt == 2

        use(path, act)

    def test_an_event_taken_for_somebody_who_has_gone_waits_again(self, path):
        async def act(queue: Queue) -> None:
            put = await queue.put(submission(), "d1")
            taker = asyncio.create_task(queue.take())
            await asyncio.sleep(0)
            taker.cancel()
            with pytest.raises(asyncio.CancelledError):
                await taker
            while (event := await queue.take()) is None:
                await queue.wait()
            assert (event.id, event.attempt) == (put.id, 1)

        use(path, act)


class TestRestarts:
    def test_what_ran_waits_again_and_its_attempt_counts(self, path):
        async def before(queue: Queue) -> str:
            put = await queue.put(submission(), "d1")
            await queue.take()
            return put.id

        async def after(queue: Queue) -> None:
            assert await queue.recover() == (1, 0, 0)
            event = await queue.take()
            assert (event.id, event.attempt) == (expected, 2)

        expected = use(path, before)
        use(path, after)

    def test_what_ended_its_server_in_each_attempt_is_dead(self, path):
        async def before(queue: Queue) -> str:
            put = await queue.put(submission(attempts=1), "d1")
            await queue.take()
            return put.id

        async def after(queue: Queue) -> None:
            assert await queue.recover() == (0, 1, 0)
            entry = await queue.get(expected)
            assert (entry.state, entry.why) == ("dead", "its server ended during attempt 1 of 1")

        expected = use(path, before)
        use(path, after)

    def test_duplicates_are_known_after_it(self, path):
        async def put(queue: Queue) -> Accepted:
            return await queue.put(submission(), "d1", "hash")

        assert [use(path, put).status for _ in range(2)] == ["new", "duplicate"]


def test_old_events_are_deleted_and_those_that_have_not_ended_are_not(path):
    clock = Clock()

    async def act(queue: Queue) -> None:
        for n in range(3):
            await queue.put(submission(f"s{n}"), f"d{n}")
        await queue.done((await queue.take()).id)
        await queue.dead((await queue.take()).id, "no")
        clock.now += 101
        await queue.purge()
        assert await queue.counts() == {
            "queued": 1, "running": 0, "done": 0, "dead": 0, "superseded": 0,
        }  # fmt: skip

    use(path, act, clock=clock, keep=100)


def test_a_payload_that_is_not_json_is_refused(path):
    async def act(queue: Queue) -> None:
        with pytest.raises(InvalidEvent, match="as JSON"):
            await queue.put(submission(payload=object()), "d1")

    use(path, act)


def test_a_text_that_cannot_be_written_fails_alone(path):
    async def act(queue: Queue) -> None:
        bad = queue.put(submission(subject="\ud800"), "d1")
        good = queue.put(submission(), "d2")
        answers = await asyncio.gather(bad, good, return_exceptions=True)
        assert isinstance(answers[0], InvalidEvent)
        assert answers[1].status == "new"

    use(path, act)


def test_an_event_whose_body_is_damaged_is_dead_and_the_next_is_taken(path):
    async def act(queue: Queue) -> None:
        bad = [await queue.put(submission(f"s{n}"), f"d{n}") for n in range(2)]
        good = await queue.put(submission("s3"), "d3")

        def damage(db, *_) -> None:
            db.execute("UPDATE bodies SET body = x'7b' WHERE seq = 1")
            db.execute("DELETE FROM bodies WHERE seq = 2")

        await queue.do(damage)
        assert (await queue.take()).id == good.id
        for each in bad:
            entry = await queue.get(each.id)
            assert entry.state == "dead"
            assert "damaged" in entry.why

    use(path, act)


def test_a_put_that_nobody_waits_for_is_done_and_wakes_who_takes(path):
    async def act(queue: Queue) -> None:
        assert await queue.take() is None
        waiter = asyncio.create_task(queue.wait())
        put = asyncio.create_task(queue.put(submission(), "d1"))
        await asyncio.sleep(0)
        put.cancel()
        await waiter
        assert await queue.take() is not None

    use(path, act)


def test_waiting_ends_when_it_is_cancelled(path):
    async def act(queue: Queue) -> None:
        await queue.take()
        waiter = asyncio.create_task(queue.wait())
        await asyncio.sleep(0)
        queue._ready.set()
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter

    use(path, act)


def test_a_closed_queue_says_so(path):
    async def act() -> None:
        queue = Queue.open(path)
        await queue.close()
        await queue.close()
        with pytest.raises(QueueUnavailable, match="has been closed"):
            await queue.put(submission(), "d1")

    asyncio.run(act())
