"""The queue does what the model does, in any order of what can be asked, and over restarts."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from onecopy.agents.queue.queue import Queue
from tests.agents.queue.model import Model
from tests.agents.queue.opening import Clock, submission, unsynced
from tests.agents.queue.watching import check, watch

AGENTS = st.sampled_from(["a", "b"])
SUBJECTS = st.sampled_from(["x", "y"])
KINDS = st.sampled_from(["push.new", "push.more", "pull.new", "issue_comment.created"])
FEW = st.integers(0, 5).map(str)


class Machine(RuleBasedStateMachine):
    events = Bundle("events")
    running = Bundle("running")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "queue.db"
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.model = Model()
        self.open()
        watch(self.path)

    def open(self) -> None:
        with unsynced():
            self.queue = Queue.open(self.path, clock=self.clock)

    def run(self, asked: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asked)

    @rule(target=events, agent=AGENTS, subject=SUBJECTS, kind=KINDS, delivery=FEW, body=FEW,
          attempts=st.integers(1, 3))  # fmt: skip
    def put(self, agent, subject, kind, delivery, body, attempts):
        asked = submission(subject, kind, agent=agent, attempts=attempts)
        put = self.run(self.queue.put(asked, delivery, body))
        sort = "" if "comment" in kind else kind.partition(".")[0]
        told = self.model.put(put.id, (agent, subject), sort, attempts, delivery, body)
        assert (put.status, put.id) == told
        return put.id if put.status == "new" else multiple()

    @rule(target=running, agents=st.sampled_from([None, None, ["a"], []]))
    def take(self, agents):
        event = self.run(self.queue.take(agents))
        told = self.model.take(self.clock.now, agents)
        if told is None:
            assert event is None
            return multiple()
        assert (event.id, event.attempt) == (told.id, told.attempt)
        return event.id

    @rule(event=consumes(running))
    def done(self, event):
        expected = self.model.end(event, "done", ("running",))
        assert self.run(self.queue.done(event)) == expected

    @rule(event=events | running)
    def dead(self, event):
        expected = self.model.end(event, "dead", ("running", "queued"))
        assert self.run(self.queue.dead(event, "no")) == expected

    @rule(event=consumes(running), delay=st.sampled_from([None, 0.0, 100.0]))
    def retry(self, event, delay):
        expected = self.model.retry(self.clock.now, event, delay)
        assert self.run(self.queue.retry(event, "503", delay)) == expected

    @rule(event=consumes(running))
    def release(self, event):
        assert self.run(self.queue.release(event)) == self.model.release(event)

    @rule(event=events)
    def revive(self, event):
        assert self.run(self.queue.revive(event)) == self.model.revive(event)

    @rule(seconds=st.sampled_from([5.0, 60.0, 700.0, -60.0, 1e8, -1e8]))
    def set_the_clock(self, seconds):
        self.clock.now += seconds

    @rule()
    def restart(self):
        self.run(self.queue.close())
        self.open()
        self.model.restart(self.clock.now)

    @rule()
    def crash(self):
        """Go on with the files as they are at this moment, as after a kill."""
        after = Path(tempfile.mkdtemp(dir=self.folder))
        for name in ("queue.db", "queue.db-wal"):
            shutil.copy(self.path.with_name(name), after)
        self.run(self.queue.close())
        self.path = after / "queue.db"
        self.open()
        self.model.restart(self.clock.now)

    @invariant()
    def they_agree(self):
        entries = {each.id: each for each in self.run(self.queue.list())}
        assert entries.keys() == self.model.events.keys()
        for event, told in self.model.events.items():
            entry = entries[event]
            assert (entry.state, entry.attempt, entry.successor if entry.state == "superseded"
                    else None) == (told.state, told.attempt, told.successor
                                   if told.state == "superseded" else None)  # fmt: skip

    def teardown(self):
        self.run(self.queue.close())
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()
        check(self.path)
        shutil.rmtree(self.folder)


Machine.TestCase.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
TestQueueAgainstItsModel = Machine.TestCase
