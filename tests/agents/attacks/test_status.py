"""The pages: of whatever size and content a run is, and whatever is asked of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from onecopy.agents.calls import Call, Refusal, Reply
from onecopy.agents.event import Event
from onecopy.agents.outcome import OK, Outcome
from onecopy.agents.queue.queue import Queue
from onecopy.agents.queue.submission import Submission
from onecopy.agents.records.recorder import Recorder
from onecopy.agents.secrets import Secrets
from onecopy.agents.server.resources import Resources
from onecopy.agents.server.service import Service
from onecopy.agents.server.site import Address, Site
from onecopy.agents.server.status import Status
from tests.agents.attacks.test_webhooks import said

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}\n\ndata: x\r\nevent: end"


@asynccontextmanager
async def shown(path: Path) -> AsyncIterator[tuple[Site, Service]]:
    queue = Queue.open(path / "state" / "events.sqlite")
    resources = Resources(path / "state", secrets=Secrets({}))
    service = Service([], queue, resources)
    try:
        async with Site(Status(service).application(), Address("127.0.0.1", 0)) as site:
            yield site, service
    finally:
        await resources.close()
        await queue.close()


def run(path: Path, act: Callable[[Site, Service], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        async with shown(path) as (site, service):
            return await act(site, service)

    return asyncio.run(whole())


def asked(path: str, *headers: str, method: str = "GET", host: str = "localhost") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "Connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def begun(service: Service, text: str) -> Recorder:
    event = Event(
        id=text, agent=text, trigger=text, kind=text, subject=text, fields={text: text},
        payload={text: [text]},
    )  # fmt: skip
    return service.resources.records.begin(event, seed=b"", time_ns=0)


async def page(site: Site, path: str) -> str:
    answer = (await said(site, asked(path))).decode()
    assert answer.startswith("HTTP/1.1 200 "), answer[:500]
    return answer.partition("\r\n\r\n")[2]


def test_no_text_of_an_agent_becomes_html(tmp_path: Path) -> None:
    async def act(site: Site, service: Service) -> list[str]:
        recorder = begun(service, EVIL)
        recorder.log(EVIL, EVIL)
        recorder.step(EVIL)
        recorder.usage(EVIL, 1, 1)
        recorder.call(Call(EVIL, [EVIL]), Reply(None, Refusal(EVIL, EVIL)), 0.0, 0.0)
        recorder.end(Outcome(OK, EVIL))
        submission = Submission(agent=EVIL, trigger=EVIL, kind=EVIL, subject=EVIL, fields={})
        event = (await service.queue.put(submission, EVIL)).id
        await service.queue.dead(event, EVIL)
        await service.resources.records.flush()
        paths = ["/", "/runs", "/events", f"/runs/{recorder.id}", f"/runs/{recorder.id}/live"]
        return [await page(site, each) for each in (*paths, f"/events/{event}", "/metrics")]

    *pages, metrics = run(tmp_path, act)
    for text in pages:
        assert "<script>alert" not in text
        assert "<img" not in text
    assert pages[4].splitlines().count("event: end") == 1
    assert metrics.rstrip().endswith("# EOF")


def test_the_page_of_a_large_run_is_no_larger_than_a_browser_and_the_loop_can_take(
    tmp_path: Path,
) -> None:
    async def act(site: Site, service: Service) -> tuple[str, str]:
        recorder = begun(service, "x" * 100_000)
        for number in range(1000):
            recorder.log("info", f"line {number} " + "<" * 1000)
        for number in range(400):
            reply = Reply("<" * (1_000_000 if number > 390 else 10), None)
            recorder.call(Call("http.send", [number]), reply, 0.0, 0.0)
        recorder.end(Outcome(OK, "<" * 1_000_000))
        await service.resources.records.flush()
        return await page(site, f"/runs/{recorder.id}"), recorder.id

    text, _ = run(tmp_path, act)
    assert "characters more" in text
    assert "are left out" in text
    assert "line 0 " not in text
    assert len(text) < 2_500_000


def test_pages_of_files_that_cannot_be_read_say_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def act(site: Site, service: Service) -> list[bytes]:
        run = begun(service, "a").id
        await service.resources.records.flush()
        service.resources.records.reader.close()
        service.queue._reader.close()
        paths = ["/", "/runs", f"/runs/{run}", f"/runs/{run}/live", "/events", "/events/x"]
        return [await said(site, asked(each)) for each in (*paths, "/metrics")]

    for answer in run(tmp_path, act):
        assert answer.startswith(b"HTTP/1.1 503 "), answer[:300]
        assert b".sqlite" in answer
    assert "Traceback" not in caplog.text


REQUESTS = {
    "a name that was pointed here": (asked("/", host="evil.test"), b"421"),
    "no host": (b"GET / HTTP/1.0\r\n\r\n", b""),
    "a host that is none": (asked("/", host="[::1"), b""),
    "a host with a space": (asked("/", host="localhost evil"), b""),
    "another site": (asked("/events/x/revive", "Origin: http://evil.test", method="POST"), b"403"),
    "no site": (asked("/events/x/revive", method="POST"), b"403"),
    "a sandboxed site": (asked("/events/x/revive", "Origin: null", method="POST"), b"403"),
    "files": (asked("/static/../../server.py"), b"40"),
    "files in code": (asked("/static/%2e%2e/%2e%2e/server.py"), b"40"),
    "files from the root": (asked("/static//etc/passwd"), b"40"),
    "bytes that are no text": (asked("/runs/%ff%ed%a0%80"), b"404"),
    "a query that is no text": (asked("/runs?before=%ff%ed%a0%80&agent=%00"), b"200"),
    "an event that is no text": (asked("/events/%ed%a0%80"), b"404"),
    "a state that is none": (asked("/events?state=%27--&before=%27"), b"200"),
    "a place beyond all": (asked("/runs/x/live?after=999999999999999999999"), b"404"),
}


@pytest.mark.parametrize("sent", REQUESTS)
def test_odd_requests_are_refused_and_nothing_fails(
    tmp_path: Path, sent: str, caplog: pytest.LogCaptureFixture
) -> None:
    data, status = REQUESTS[sent]

    async def act(site: Site, _: Service) -> bytes:
        return await said(site, data)

    answer = run(tmp_path, act)
    assert answer[9:12].startswith(status), answer[:300]
    assert not answer[9:12].startswith(b"5"), answer[:300]
    assert b"root:" not in answer
    assert b"class Server" not in answer
    assert not caplog.text
