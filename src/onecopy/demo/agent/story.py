"""The demo's plot: a pull request is opened, told of twice, and gets another commit."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import onecopy
from onecopy.agents.code_review import setup
from onecopy.agents.grants.memory.embedder import StoreEmbedder, save_embedder
from onecopy.agents.secrets import Secrets
from onecopy.agents.server.server import Server
from onecopy.agents.server.site import Address
from onecopy.demo.agent.choosing import choose
from onecopy.demo.agent.github.hooks import Hooks
from onecopy.demo.agent.github.server import GitHubServer
from onecopy.demo.agent.github.state import GitHubState
from onecopy.demo.agent.llm_server import MODEL, LlmServer
from onecopy.demo.agent.outcome import Outcome, shown
from onecopy.demo.agent.reviewer import Reviewer
from onecopy.demo.check import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onecopy.demo.agent.example import Change
    from onecopy.demo.agent.github.history import History

_CAPACITY: Final = 256 << 20
_ANY: Final = Address("127.0.0.1", 0)
_SECRETS: Final = {"GITHUB_TOKEN": "demo-token-of-the-bot", "GITHUB_WEBHOOK_SECRET": "demo-secret"}
PATIENCE: Final = 240.0
"""Seconds for a review, on a machine that does much else."""


class Story:
    """Plays it once.

    Args:
        history: where the changes are.
        changes: one of them is reviewed: in which there is something to find, if that is in any.
        say: is told what is going on.
    """

    def __init__(
        self, history: History, changes: Sequence[Change], say: Callable[[str], None]
    ) -> None:
        self._history = history
        self._changes = changes
        self._say = say
        self._state = GitHubState(history)
        self._outcome = Outcome(changes[0])

    async def play(self) -> Outcome:
        """Run everything; what does not hold is a failed check in the outcome."""
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="onecopy-demo-agent-")))
            self._say("a model goes into a store …")
            name = f"demo-agent-{os.getpid()}"
            store = stack.enter_context(onecopy.start(name, capacity=_CAPACITY))
            await asyncio.to_thread(save_embedder, store)
            embedder = StoreEmbedder(store)
            stack.callback(embedder.close)
            reviewer = Reviewer(embedder)
            llm = await stack.enter_async_context(LlmServer(reviewer))
            await embedder.embed(["x = 1"])  # starts its process, of which no run is to wait
            self._say("changes are read, to choose one …")
            chosen = await choose(self._history, self._changes, reviewer)
            self._outcome = Outcome(chosen.change, chosen.read, chosen.found)
            token = _SECRETS["GITHUB_TOKEN"]
            github = await stack.enter_async_context(GitHubServer(self._state, token=token))
            self._say("the bot is built (once; ten seconds) …")
            server = self._bot(folder, github, llm)
            await stack.enter_async_context(_Running(server))
            hooks = Hooks(github, f"{server.public_url}/github", _SECRETS["GITHUB_WEBHOOK_SECRET"])
            await self._review(server, hooks)
        return self._outcome

    def _bot(self, folder: Path, github: GitHubServer, llm: LlmServer) -> Server:
        bot = folder / "code-review"
        for name, text in setup.files(github=github.url, llm=llm.url, model=MODEL).items():
            (bot / name).parent.mkdir(parents=True, exist_ok=True)
            (bot / name).write_text(text)
        return Server(
            [bot], listen=_ANY, status=_ANY, state=folder / "state", secrets=Secrets(_SECRETS)
        )

    async def _review(self, server: Server, hooks: Hooks) -> None:
        outcome, change = self._outcome, self._outcome.change
        pull = self._state.open(change.title, change.base, change.first)
        self._say(f"“{change.title}” is opened …")
        opened = await self._told(server, hooks.pull_request("opened", pull, "delivery-1"))
        outcome.first = self._comment()
        self._say("the same delivery comes again …")
        status, answer = await hooks.pull_request("opened", pull, "delivery-1")
        self._check(
            "the same delivery again is known, and nothing is run",
            (status, answer) == (202, {"id": opened, "status": "duplicate"}),
            f"{status} {answer}",
        )
        pull.head = change.second
        outcome.answer = f"{status} {answer['status']}"
        self._say("another commit is pushed …")
        await self._told(server, hooks.pull_request("synchronize", pull, "delivery-2"))
        outcome.second = self._comment()
        outcome.labels = pull.labels
        outcome.lines = [shown(each, pull, self._history) for each in self._state.line_comments]
        count = len(self._state.comments)
        self._check("there is one comment, which was updated", count == 1, f"{count} comments")
        self._check(
            "it names the new commit", change.second[:7] in outcome.second, outcome.second[:200]
        )
        await self._look(server)

    async def _told(self, server: Server, delivery: object) -> str:
        """Return the event of a delivery once it has ended."""
        status, answer = await delivery  # type: ignore[misc]
        if status != 202 or answer["status"] != "new":
            raise onecopy.InvalidEvent(f"a delivery was answered with {status} {answer}")
        event: str = answer["id"]
        deadline = time.monotonic() + PATIENCE
        while True:
            entry = await server.service.queue.get(event)
            if entry is not None and entry.state in ("done", "dead", "superseded"):
                break
            if time.monotonic() > deadline:
                raise onecopy.WaitTimeout(f"the event {event} did not end in {PATIENCE:g} s")
            await asyncio.sleep(0.05)
        self._check(f"the event {event[-6:]} is done", entry.state == "done", entry.why)
        return event

    async def _look(self, server: Server) -> None:
        """See what the server has recorded."""
        records = server.service.resources.records
        await records.flush()
        runs = [records.run(each.id) for each in reversed(records.runs())]
        self._outcome.runs = [each for each in runs if each is not None]
        self._check("there were two runs", len(runs) == 2, f"{len(runs)} runs")
        secrets = [text for text in _SECRETS.values() if any(text in repr(run) for run in runs)]
        self._check("no record has a secret", not secrets, f"{len(secrets)} secrets")

    def _comment(self) -> str:
        return self._state.comments[0].body if self._state.comments else ""

    def _check(self, claim: str, held: bool, trouble: str) -> None:
        self._outcome.checks.append(Check(claim, held, trouble))


class _Running:
    """A server that runs while the block does."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._server.run(self._ready.set))
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait((ready, self._task), return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.is_set():
            ready.cancel()
            await self._task  # which raises

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
