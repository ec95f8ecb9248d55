"""`onecopy agent serve` as a process of its own, and a sender of signed deliveries."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from onecopy.agents.queue.reader import Entry
from onecopy.agents.queue.reader import Reader as Events
from onecopy.agents.records.reader import Reader as Runs
from onecopy.agents.records.run import Run

SECRET = "a secret of all webhooks here"
ENDED = ("done", "dead", "superseded")
_MANIFEST = """
[agent]
name = "{name}"
component = "agent.wasm"

[limits]
{limits}

[[triggers.webhook]]
path = "/{name}"
signature = "github"
secret = "env:HOOK_SECRET"

[[triggers.webhook.on]]
kinds = ["asked"]
fields = {{ subject = "subject" }}
subject = "{{subject}}"

{more}
"""


def make_agent(place: Path, component: Path, *, limits: str = "", more: str = "") -> Path:
    """Make the folder of an agent that has the name of the folder."""
    place.mkdir(parents=True)
    shutil.copy(component, place / "agent.wasm")
    text = _MANIFEST.format(name=place.name, limits=limits, more=more)
    (place / "agent.toml").write_text(text)
    return place


@dataclass
class Whole:
    """A server that runs, and a client of both of its sides."""

    process: asyncio.subprocess.Process
    state: Path
    session: aiohttp.ClientSession
    said: list[str] = field(default_factory=list)
    """Lines of its standard error."""
    public: str = ""
    status: str = ""
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def log(self) -> str:
        """All that it has written to its standard error."""
        return "".join(self.said)

    async def deliver(
        self, agent: str, *do: Any, subject: str = "s", number: int = 0, **payload: Any
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Send an event, of a number of its own; return status, headers and what was answered."""
        number = number or next(self._numbers)
        payload = {"subject": subject, "do": do, "number": number, **payload}
        # What is nested deeply cannot be written in the usual way.
        depth = payload.pop("deep", 0)
        body = json.dumps(payload)[:-1] + f', "deep": {"[" * depth}{"]" * depth or 0}}}'
        signed = hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).hexdigest()
        headers = {
            "X-Hub-Signature-256": f"sha256={signed}",
            "X-GitHub-Event": "asked",
            "X-GitHub-Delivery": f"d-{number}",
        }
        url = f"{self.public}/{agent}"
        async with self.session.post(url, data=body, headers=headers) as answer:
            return answer.status, dict(answer.headers), await answer.json()

    async def page(self, path: str) -> int:
        """Return the status of a page."""
        async with self.session.get(self.status + path) as answer:
            await answer.read()
            return answer.status

    async def put(self, agent: str, *do: Any, **payload: Any) -> str:
        """Send an event that is taken, and return its id."""
        status, _, answer = await self.deliver(agent, *do, **payload)
        assert status == 202, answer
        return str(answer["id"])

    def entry(self, event: str) -> Entry:
        """Return an event as it is."""
        reader = Events(self.state / "events.sqlite")
        try:
            found = reader.get(event)
        finally:
            reader.close()
        assert found is not None
        return found

    async def until(self, event: str, holds: Callable[[Entry], Any]) -> Entry:
        """Return an event once something is so of it."""
        while not holds(entry := self.entry(event)):
            assert self.process.returncode is None, self.log
            await asyncio.sleep(0.02)
        return entry

    async def end_of(self, event: str) -> Entry:
        """Return an event once it has ended."""
        return await self.until(event, lambda entry: entry.state in ENDED)

    async def answer(self, agent: str, *do: Any, **payload: Any) -> Any:
        """Return what the agent answers to an event."""
        entry = await self.end_of(await self.put(agent, *do, **payload))
        assert entry.state == "done", entry.why
        return json.loads(entry.why)

    def runs(self, event: str) -> list[Run]:
        """Return the records of an event's runs, the newest first."""
        reader = Runs(self.state / "records.sqlite")
        try:
            found = [reader.run(each.id) for each in reader.runs(event=event)]
        finally:
            reader.close()
        return [each for each in found if each is not None]

    async def ended_runs(self, event: str) -> list[Run]:
        """Return the same once they have ended: a record's end is written after its event's."""
        while not (found := self.runs(event)) or any(run.outcome is None for run in found):
            await asyncio.sleep(0.02)
        return found

    @property
    def peak(self) -> int:
        """The most bytes of memory that its process has had."""
        return _bytes(self.process.pid, "VmHWM")

    def forget_peak(self) -> None:
        """Have `peak` begin anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    @property
    def files(self) -> int:
        """Files that it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def _bytes(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    assert found
    return int(found[1]) << 10


@asynccontextmanager
async def whole(
    state: Path, *folders: Path | str, cache: Path, module: str = "onecopy", **secrets: str
) -> AsyncIterator[Whole]:
    """Run a server until the block is left.

    Args:
        state: its folder.
        folders: of its agents, and further arguments.
        cache: where what is compiled is kept.
        module: what is run for it: it has the command line of onecopy.
        secrets: in its environment.
    """
    line = [
        sys.executable,
        "-m",
        module,
        "agent",
        "serve",
        *map(str, folders),
        "--state",
        str(state),
    ]
    sides = ["--listen", "127.0.0.1:0", "--status", "127.0.0.1:0"]
    given = {"HOOK_SECRET": SECRET, "XDG_CACHE_HOME": str(cache), "COLUMNS": "300", **secrets}
    process = await asyncio.create_subprocess_exec(
        *line, *sides, env={**os.environ, **given}, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with aiohttp.ClientSession() as session:
            server = Whole(process, state, session)
            reading = asyncio.create_task(_read(server))
            while not server.status:
                assert not reading.done(), server.log
                await asyncio.sleep(0.01)
            yield server
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def _read(server: Whole) -> None:
    assert server.process.stderr is not None
    async for line in server.process.stderr:
        text = line.decode(errors="replace")
        server.said.append(text)
        match text.split():
            case ["webhook", url]:
                server.public = url.rpartition("/")[0]
            case ["status", url]:
                server.status = url
