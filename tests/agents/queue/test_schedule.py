"""Events by the clock."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.agents.queue.queue import Queue
from onecopy.agents.queue.schedule import Schedule, Timetable, following, latest
from onecopy.errors import InvalidArgument
from tests.agents.queue.opening import Clock, unsynced, use

HOUR = 3600.0
NIGHTLY = Timetable(agent="bot", name="nightly", cron="0 3 * * *", subject="all")
HOURLY = Timetable(agent="bot", name="hourly", cron="0 * * * *", subject="all", attempts=2)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def clock() -> Clock:
    return Clock(at("2026-03-01 12:30"))


async def put(queue: Queue, clock: Clock, *tables: Timetable) -> list[str]:
    """The times for which events are put now, which are done at once."""
    await Schedule(queue, tables or (HOURLY,), clock).put_due()
    times = []
    while (event := await queue.take()) is not None:
        times.append(event.payload["due"][5:16])
        await queue.done(event.id)
    return times


def test_each_due_time_has_one_event(path, clock):
    async def act(queue: Queue) -> None:
        assert await put(queue, clock) == []
        clock.now = at("2026-03-01 13:00")
        assert await put(queue, clock) == ["03-01T13:00"]
        assert await put(queue, clock) == []
        clock.now += HOUR - 1
        assert await put(queue, clock) == []
        clock.now += 1
        assert await put(queue, clock) == ["03-01T14:00"]

    use(path, act, clock=clock)


def test_an_event_says_what_it_is_of(path, clock):
    async def act(queue: Queue) -> None:
        schedule = Schedule(queue, [HOURLY], clock)
        await schedule.put_due()
        clock.now += HOUR
        (accepted,) = await schedule.put_due()
        event = await queue.take()
        assert (event.id, event.trigger, event.kind, event.subject) == (
            accepted.id, "schedule", "hourly", "all",
        )  # fmt: skip
        assert event.payload == {"due": "2026-03-01T13:00:00+00:00"}
        assert (await queue.get(event.id)).attempts == 2

    use(path, act, clock=clock)


def test_of_the_times_that_a_server_missed_only_the_latest_has_an_event(path, clock):
    async def act(queue: Queue) -> list[str]:
        return await put(queue, clock)

    assert use(path, act, clock=clock) == []
    clock.now += 400 * 24 * HOUR
    assert use(path, act, clock=clock) == ["04-05T12:00"]
    assert use(path, act, clock=clock) == []


def test_agents_and_names_have_their_own_times(path, clock):
    other = Timetable(agent="other", name="hourly", cron="30 * * * *", subject="all")

    async def act(queue: Queue) -> None:
        assert await put(queue, clock, HOURLY, NIGHTLY, other) == []
        clock.now = at("2026-03-02 03:00")
        assert await put(queue, clock, HOURLY, NIGHTLY, other) == [
            "03-02T03:00", "03-02T02:30", "03-02T03:00",
        ]  # fmt: skip

    use(path, act, clock=clock)


def test_a_clock_that_is_set_back_repeats_nothing(path, clock):
    async def act(queue: Queue) -> None:
        await put(queue, clock)
        for _ in range(3):
            clock.now += HOUR
            assert len(await put(queue, clock)) == 1
        clock.now -= 2.5 * HOUR
        seen = []
        for _ in range(8):
            seen += await put(queue, clock)
            clock.now += HOUR / 2
        assert seen == ["03-01T16:00"]

    use(path, act, clock=clock)


async def every_minute(schedule: Schedule, clock: Clock, minutes: int) -> int:
    """How many events are put while a clock goes as it should."""
    count = 0
    for _ in range(minutes):
        clock.now += 60
        count += len(await schedule.put_due())
    return count


@pytest.mark.parametrize("hours", [-5, 5])
def test_hours_by_a_wrong_clock_leave_no_hours_without_events(path, clock, hours):
    async def act(queue: Queue) -> None:
        schedule = Schedule(queue, [HOURLY], clock)
        await schedule.put_due()
        assert await every_minute(schedule, clock, 60) == 1
        clock.now += hours * HOUR
        # Only a clock that is set forward passes a time by that.
        assert len(await schedule.put_due()) == (hours > 0)
        assert await every_minute(schedule, clock, 300) == 5
        clock.now -= hours * HOUR
        await schedule.put_due()
        assert await every_minute(schedule, clock, 300) == 5

    use(path, act, clock=clock)


def test_a_clock_that_is_set_back_and_forward_at_once_repeats_nothing(path, clock):
    async def act(queue: Queue) -> None:
        schedule = Schedule(queue, [HOURLY], clock)
        await schedule.put_due()
        assert await every_minute(schedule, clock, 120) == 2
        for hours in (-5, 5, -0.5, 0.5, -5, 5):
            clock.now += hours * HOUR
            assert await schedule.put_due() == []

    use(path, act, clock=clock)


def test_a_clock_that_is_set_back_revives_no_dead_event(path, clock):
    async def act(queue: Queue) -> None:
        schedule = Schedule(queue, [HOURLY], clock)
        await schedule.put_due()
        clock.now += HOUR
        (accepted,) = await schedule.put_due()
        await queue.dead(accepted.id, "no")
        clock.now -= HOUR
        await schedule.put_due()
        clock.now += HOUR
        assert await schedule.put_due() == []
        assert (await queue.get(accepted.id)).state == "dead"

    use(path, act, clock=clock)


def test_a_clock_that_was_years_ahead_stops_nothing(path, clock):
    async def act(queue: Queue) -> None:
        await put(queue, clock)
        clock.now += 40 * 365 * 24 * HOUR
        assert len(await put(queue, clock)) == 1
        clock.now = at("2026-03-01 12:40")
        assert await put(queue, clock) == []
        clock.now = at("2026-03-01 13:00")
        assert await put(queue, clock) == ["03-01T13:00"]

    use(path, act, clock=clock)


def test_a_new_expression_is_not_late_for_what_was_before_it(path, clock):
    async def act(queue: Queue) -> None:
        await put(queue, clock, NIGHTLY)
        changed = Timetable(agent="bot", name="nightly", cron="0 12 * * *", subject="all")
        assert await put(queue, clock, changed) == []

    use(path, act, clock=clock)


def test_a_waiting_event_gives_way_to_that_of_the_next_time(path, clock):
    async def act(queue: Queue) -> None:
        schedule = Schedule(queue, [HOURLY], clock)
        for _ in range(4):
            await schedule.put_due()
            clock.now += HOUR
        counts = await queue.counts()
        assert (counts["queued"], counts["superseded"]) == (1, 2)

    use(path, act, clock=clock)


MINUTES = st.sampled_from([1, 2, 4, 7, 59, 60, 61, 300, -30, -62, -200, 100_000, -100_000])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(MINUTES, st.booleans()), max_size=12))
def test_no_time_has_two_events_by_one_clock_wherever_it_goes(moves):
    clock = Clock(at("2026-03-01 12:30"))

    async def steps(queue: Queue, some: list[int]) -> None:
        nonlocal corrections
        schedule = Schedule(queue, [HOURLY], clock)
        await schedule.put_due()
        for minutes in some:
            before, clock.now = clock.now, clock.now + minutes * 60
            corrections += minutes < -60
            put = await schedule.put_due()
            passed = latest(HOURLY.cron, clock.now)
            # A time that passes has its event; a second only if the clock was wrong at the first.
            assert not put or passed > before
            assert put or passed <= before or passed in seen
            if put:
                assert seen.get(passed, -1) < corrections
                seen[passed] = corrections

    corrections = 0
    seen: dict[float, int] = {}
    with tempfile.TemporaryDirectory() as folder, unsynced():
        rest = [minutes for minutes, _ in moves]
        while rest:
            part = next((n for n, m in enumerate(moves[-len(rest) :]) if m[1]), len(rest) - 1) + 1
            use(Path(folder) / "queue.db", lambda queue, p=part: steps(queue, rest[:p]),
                clock=clock)  # fmt: skip
            del rest[:part]


def test_it_runs_by_itself(path):
    each = Timetable(agent="bot", name="second", cron="* * * * * *", subject="all")

    async def act(queue: Queue) -> None:
        running = asyncio.create_task(Schedule(queue, [each]).run())
        while (event := await queue.take()) is None:
            await queue.wait()
        assert event.kind == "second"
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    use(path, act)


def test_times_around_now(clock):
    assert latest("0 3 * * *", at("2026-03-01 03:00")) == at("2026-03-01 03:00")
    assert latest("0 3 * * *", at("2026-03-01 02:59")) == at("2026-02-28 03:00")
    assert following("0 3 * * *", at("2026-03-01 03:00")) == at("2026-03-02 03:00")
    assert latest("0 0 29 2 *", at("2026-03-01 00:00")) == at("2024-02-29 00:00")


@pytest.mark.parametrize("cron", ["", "61 * * * *", "every day", "0 0 31 2 *"])
def test_what_is_no_expression_is_refused(path, cron):
    async def act(queue: Queue) -> None:
        table = Timetable(agent="bot", name="x", cron=cron, subject="all")
        with pytest.raises(InvalidArgument, match="no cron expression"):
            Schedule(queue, [table])

    use(path, act)
