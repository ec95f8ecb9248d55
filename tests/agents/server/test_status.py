"""The pages show what happened, to whoever may see it, and nobody else's page can use them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from onecopy.agents.calls import Call, Reply
from onecopy.agents.event import Event
from onecopy.agents.outcome import OK, Outcome
from onecopy.agents.queue.submission import Submission
from tests.agents.server.looking import Look, looking
from tests.agents.server.test_service import end_of, put

SCRIPT = "<script>alert(1)</script>"


def test_the_pages_show_events_and_their_runs(serving: Any) -> None:
    async def act(look: Look) -> None:
        done = await put(look.service, "e")
        await end_of(look.service, done)
        await look.service.resources.records.flush()
        (run,) = look.service.resources.records.runs(event=done)
        for path, texts in {
            "/": ("actions", "Latest runs", run.id[-6:], "0 of 50"),
            "/runs": (run.id[-6:], "thing#1"),
            f"/runs/{run.id}": ("Answer", "agent replay", "thing#1"),
            "/events": (done[-6:], "done", "1 of 2"),
            f"/events/{done}": ("cli", run.id[-6:]),
            "/events?state=dead": ("There are no such events.",),
            "/runs?status=failed&agent=actions": ("There are no such runs.",),
        }.items():
            status, page = await look.get(path)
            assert status == 200, path
            for text in texts:
                assert text in page, (path, text)

    looking(serving, act)


@pytest.mark.parametrize("path", ["/runs/none", "/runs/none/live", "/events/none"])
def test_what_is_not_there_is_not_found(serving: Any, path: str) -> None:
    async def act(look: Look) -> int:
        return (await look.get(path))[0]

    assert looking(serving, act) == 404


def test_texts_of_events_and_guests_are_never_html(serving: Any) -> None:
    async def act(look: Look) -> None:
        records = look.service.resources.records
        event = Event(SCRIPT, SCRIPT, "cli", SCRIPT, SCRIPT, {"a": SCRIPT}, {"b": SCRIPT})
        recorder = records.begin(event, seed=b"", time_ns=0)
        for call in (
            Call("log.write", ["info", SCRIPT]),
            Call("log.step", [SCRIPT]),
            Call(SCRIPT, [SCRIPT]),
        ):
            recorder.call(call, Reply(SCRIPT), 0.0, 0.0)
        recorder.usage(SCRIPT, 1, 2, 0.5)
        recorder.end(Outcome(OK, SCRIPT))
        await records.flush()
        submission = Submission(agent=SCRIPT, trigger="cli", kind=SCRIPT, subject=SCRIPT, fields={})
        accepted = await look.service.queue.put(submission, SCRIPT)
        for path in ("/", "/runs", f"/runs/{recorder.id}", f"/runs/{recorder.id}/live", "/events",
                     f"/events/{accepted.id}"):  # fmt: skip
            status, page = await look.get(path)
            assert status == 200
            assert "<script>alert" not in page, path
            assert "&lt;script&gt;" in page, path

    looking(serving, act)


def test_a_run_can_be_followed_while_it_goes_on(serving: Any) -> None:
    async def act(look: Look) -> None:
        records = look.service.resources.records
        event = Event("e", "actions", "cli", "asked", "s", {})
        recorder = records.begin(event, seed=b"", time_ns=0)
        recorder.log("info", "the first line")
        await records.flush()
        _, page = await look.get(f"/runs/{recorder.id}")
        assert "the first line" in page
        assert "live.js" in page
        url = f"{look.url}/runs/{recorder.id}/live?after=1"
        async with look.session.get(url) as stream:
            recorder.log("info", "two\nlines")
            recorder.step("the end")
            recorder.end(Outcome(OK, "done"))
            text = (await stream.read()).decode()
        events = [each.split("\n", 1) for each in text.strip().split("\n\n")]
        assert [name for name, _ in events] == ["event: item", "event: item", "event: end"]
        assert "the first line" not in text
        assert "the end" in text

    looking(serving, act)


def test_a_dead_event_is_run_again_only_for_a_page_of_the_server(serving: Any) -> None:
    async def act(look: Look) -> None:
        event = await put(look.service, "t")
        assert await look.service.queue.dead(event, "the test wants it") or True
        await end_of(look.service, event)
        path = f"/events/{event}/revive"
        assert "Run it again" in (await look.get(f"/events/{event}"))[1]
        assert await look.post(path) == 403
        assert await look.post(path, Origin="https://elsewhere.example") == 403
        assert await look.post(path, Origin=look.url) == 303
        assert await look.post("/events/none/revive", Origin=look.url) == 409

    looking(serving, act)


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("127.0.0.1:1", 200), ("[::1]", 200), ("rebound.example", 421)],
)
def test_only_its_own_names_reach_it(serving: Any, host: str, status: int) -> None:
    async def act(look: Look) -> int:
        return (await look.get("/", Host=host))[0]

    assert looking(serving, act) == status


def test_pages_tell_browsers_to_run_nothing_else(serving: Any) -> None:
    async def act(look: Look) -> None:
        async with look.session.get(look.url + "/") as answer:
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        async with look.session.get(look.url + "/static/live.js") as answer:
            assert answer.status == 200
            assert "javascript" in answer.headers["Content-Type"]
        assert (await look.get("/static/../status.py"))[0] == 404

    looking(serving, act)


def test_a_watcher_who_leaves_does_not_disturb(serving: Any) -> None:
    async def act(look: Look) -> None:
        records = look.service.resources.records
        event = Event("e", "actions", "cli", "asked", "s", {})
        recorder = records.begin(event, seed=b"", time_ns=0)
        await records.flush()
        watching = asyncio.create_task(look.get(f"/runs/{recorder.id}/live"))
        await asyncio.sleep(0)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        recorder.end(Outcome(OK, ""))
        assert (await look.get("/"))[0] == 200

    looking(serving, act)
