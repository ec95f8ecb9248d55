"""A delivery is verified, understood and on disk before it is answered."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from onecopy.agents.manifest import Manifest
from onecopy.agents.queue.queue import Queue
from onecopy.agents.secrets import Secrets
from onecopy.agents.server.site import Address, Site
from onecopy.agents.server.webhooks import Webhooks
from onecopy.errors import InvalidArgument, InvalidManifest
from tests.agents.server.conftest import SECRET

Send = Callable[..., Awaitable[tuple[int, Any]]]
ASKED = {"number": 7, "action": "now"}


def signed(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def served(manifest: Manifest, path: Path, act: Callable[[Send, Queue], Awaitable[Any]]) -> Any:
    """Carry out `act` with a function that sends deliveries over real HTTP."""

    async def whole() -> Any:
        queue = Queue.open(path / "events.sqlite")
        try:
            hooks = Webhooks([manifest], queue, Secrets({"HOOK_SECRET": SECRET}))
            site = Site(hooks.application(), Address("127.0.0.1", 0))
            async with site, aiohttp.ClientSession() as session:

                async def send(
                    payload: Any = ASKED, delivery: str = "d-1", path: str = "/hook", **more: str
                ) -> tuple[int, Any]:
                    raw = isinstance(payload, bytes)
                    body = payload if raw else msgspec.json.encode(payload)
                    headers = {
                        "X-GitHub-Event": "asked",
                        "X-GitHub-Delivery": delivery,
                        "X-Hub-Signature-256": signed(body),
                        **more,
                    }
                    async with session.post(
                        site.url + path, data=io.BytesIO(body), headers=headers
                    ) as answer:
                        text = await answer.read()
                        return answer.status, msgspec.json.decode(text) if text[:1] == b"{" else {}

                return await act(send, queue)
        finally:
            await queue.close()

    return asyncio.run(whole())


def test_a_signed_delivery_is_on_disk_when_it_is_answered(
    manifest: Manifest, tmp_path: Path
) -> None:
    async def act(send: Send, queue: Queue) -> Any:
        status, answer = await send()
        # Another connection sees it: it is committed.
        with sqlite3.connect(tmp_path / "events.sqlite") as other:
            found = other.execute("SELECT id, subject FROM events").fetchall()
        other.close()
        return status, answer, found

    status, answer, found = served(manifest, tmp_path, act)
    assert (status, answer["status"]) == (202, "new")
    assert found == [(answer["id"], "thing#7")]


def test_the_same_delivery_and_the_same_body_are_one_event(
    manifest: Manifest, tmp_path: Path
) -> None:
    async def act(send: Send, queue: Queue) -> Any:
        return [await send(), await send(), await send(delivery="d-2"), await queue.counts()]

    first, again, renamed, counts = served(manifest, tmp_path, act)
    assert [first[1]["status"], again[1]["status"], renamed[1]["status"]] == [
        "new",
        "duplicate",
        "duplicate",
    ]
    assert first[1]["id"] == again[1]["id"] == renamed[1]["id"]
    assert sum(counts.values()) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": "sha256=" + "0" * 64},
        {"X-Hub-Signature-256": signed(b"another body")},
        {"X-Hub-Signature-256": signed(msgspec.json.encode(ASKED), "another secret")},
    ],
)
def test_a_forged_delivery_is_turned_away(
    manifest: Manifest, tmp_path: Path, headers: dict[str, str]
) -> None:
    async def act(send: Send, queue: Queue) -> Any:
        return await send(**headers), await queue.counts()

    (status, answer), counts = served(manifest, tmp_path, act)
    assert status == 401
    assert SECRET not in str(answer)
    assert sum(counts.values()) == 0


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({"number": 7, "action": "later"}, 202),  # of another kind
        ({**ASKED, "skip": True}, 202),  # excluded by `where`
        (b"{", 400),
        (b"[1]", 400),
        (b"\xff", 400),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, 400),
        ({"action": "now"}, 400),  # without its field
        ({**ASKED, "number": "../../admin"}, 400),
        (b" " * (1 << 20) + msgspec.json.encode(ASKED), 413),
    ],
)
def test_what_is_no_event_for_the_agent_never_reaches_the_queue(
    manifest: Manifest, tmp_path: Path, payload: Any, status: int
) -> None:
    async def act(send: Send, queue: Queue) -> Any:
        return await send(payload), await queue.counts(), await send()

    (found, answer), counts, after = served(manifest, tmp_path, act)
    assert found == status
    assert sum(counts.values()) == 0
    if status == 202:
        assert answer == {"status": "ignored"}
    assert after[1]["status"] == "new"


def test_what_the_disk_does_not_take_is_to_be_delivered_again(
    manifest: Manifest, tmp_path: Path
) -> None:
    async def act(send: Send, queue: Queue) -> Any:
        await queue.close()
        return await send()

    status, answer = served(manifest, tmp_path, act)
    assert status == 503
    assert "deliver it again" in answer["error"]


def test_other_paths_and_methods_are_not_there(manifest: Manifest, tmp_path: Path) -> None:
    async def act(send: Send, queue: Queue) -> Any:
        return [(await send(path=path))[0] for path in ("/", "/hook/", "/healthz")]

    assert served(manifest, tmp_path, act) == [404, 404, 405]


def test_a_missing_or_short_secret_is_noticed_at_the_start(
    manifest: Manifest, tmp_path: Path
) -> None:
    async def start(environ: dict[str, str]) -> None:
        queue = Queue.open(tmp_path / "events.sqlite")
        try:
            Webhooks([manifest], queue, Secrets(environ))
        finally:
            await queue.close()

    for environ in ({}, {"HOOK_SECRET": "short"}):
        with pytest.raises(InvalidArgument):
            asyncio.run(start(environ))


def test_two_agents_cannot_have_one_path(manifest: Manifest, tmp_path: Path) -> None:
    async def start() -> None:
        queue = Queue.open(tmp_path / "events.sqlite")
        try:
            Webhooks([manifest, manifest], queue, Secrets({"HOOK_SECRET": SECRET}))
        finally:
            await queue.close()

    with pytest.raises(InvalidManifest, match="/hook"):
        asyncio.run(start())
