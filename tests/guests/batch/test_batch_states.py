"""Whatever is done to a batch, every sequence says what its guest, written anew in Python, says."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from onecopy.guests.batch.answers import Allowed, Splice, Suspended
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.batch.sequence import Sequence
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.pool import Pool
from tests.guests.batch.test_controllers import SCRIPTED, allowed
from tests.guests.conftest import SDK
from tests.guests.tokenizers_of import byte_level

pytest.importorskip("numpy")
pytest.importorskip("ziglang")

BATCH, KEEP = 6, 5
KILLS = 2  # the third worker that ends while it runs the same guest would cost that one
WORD = (1 << 32) - 1


@dataclass
class Memory:
    """What modules/scripted.c keeps in its memory."""

    state: int = 2166136261
    calls: int = 0

    def mix(self, word: int) -> None:
        self.state = (self.state ^ word) * 16777619 & WORD
        self.state ^= self.state >> 13


@dataclass
class Twin:
    """The guest in Python, and what a host may do to it."""

    config: str
    size: int
    memory: Memory = field(default_factory=Memory)
    branch: int = 0
    before: list[tuple[Memory, list[int]]] = field(default_factory=list)
    again: list[int] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)
    reach: int = 0
    at: int = 0
    furthest: int = 0

    def hear(self, tokens: list[int]) -> None:
        for word in (len(tokens), self.branch, *tokens):
            self.memory.mix(word)

    def call(self, tokens: list[int]) -> list[int] | tuple[int, tuple[int, ...]]:
        """Return the mask, or what is spliced in."""
        self.reach += len(tokens)
        told = [*self.again, *self.pending, *tokens]
        self.at += len(self.pending) + len(tokens)
        self.furthest = max(self.furthest, self.at)
        self.again, self.pending = [], []
        self.before.append((replace(self.memory), told))
        self.memory.calls += 1
        self.hear(told)
        state = self.memory.state
        if "splice" in self.config and self.memory.calls % 3 == 0:
            spliced = tuple((state >> 8 * i) % self.size for i in range(3))
            self.pending, self.reach = list(spliced), 3
            back = int(self.config.rpartition("back=")[2])
            self.at -= back
            return back, spliced
        return sorted({(state + i * i * 7919 & WORD) % self.size for i in range(20)})

    def rollback(self, count: int) -> None:
        self.reach -= count
        unsent = min(count, len(self.pending))
        del self.pending[len(self.pending) - unsent :]
        count -= unsent
        self.at -= count
        while count > len(self.again):
            self.memory, told = self.before.pop()
            self.again = told + self.again
        del self.again[len(self.again) - count :]

    def fork(self, branches: int) -> list[Twin]:
        def copy(number: int) -> Twin:
            return replace(
                self,
                memory=replace(self.memory),
                branch=number,
                before=[(replace(memory), told) for memory, told in self.before],
                again=list(self.again),
                pending=list(self.pending),
            )

        self.branch = 0
        return [copy(number) for number in range(1, branches)]


@functools.cache
def scripted() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "scripted.wasm"
        flags = ("--target=wasm32-freestanding", "-nostdlib", "-Wl,--no-entry", "-O2")
        visible = ("-fvisibility=hidden", "-Wl,--export-dynamic", "-I", str(SDK))
        subprocess.run(
            [sys.executable, "-m", "ziglang", "cc", *flags, *visible, str(SCRIPTED), "-o", out],
            check=True,
            env=os.environ | {"ZIG_LOCAL_CACHE_DIR": folder, "ZIG_GLOBAL_CACHE_DIR": folder},
        )
        return out.read_bytes()


@functools.cache
def vocabulary() -> Vocabulary:
    return Vocabulary.from_tokenizer(byte_level())


@functools.cache
def cache() -> str:
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    return folder


TOKENS = st.lists(st.integers(0, 900), max_size=3)


class Batch(RuleBasedStateMachine):
    """Opens, steps, forks, rolls back and closes sequences, and kills workers."""

    @initialize()
    def begin(self) -> None:
        self.pool = Pool(workers=2, guest_ms=5000, step_ms=60_000, cache=cache())
        self.controllers = Controllers(None, vocabulary(), self.pool, batch=BATCH, keep=KEEP)
        self.twins: dict[Sequence, Twin] = {}
        self.killed = 0

    def teardown(self) -> None:
        self.controllers.close()
        self.pool.close()

    def pick(self, data: st.DataObject) -> Sequence:
        return data.draw(st.sampled_from(sorted(self.twins, key=lambda each: each.number)))

    @precondition(lambda self: len(self.twins) < BATCH)
    @rule(config=st.sampled_from(["", "splice=3 back=1"]), prompt=TOKENS)
    def open(self, config: str, prompt: list[int]) -> None:
        sequence = self.controllers.open(scripted(), config, prompt)
        twin = Twin(config, vocabulary().size)
        twin.hear(prompt)
        self.twins[sequence] = twin

    @precondition(lambda self: self.twins)
    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        told = {each: data.draw(TOKENS) for each in self.twins if data.draw(st.booleans())}
        # Where the text may be shorter than what a guest takes back, it would fail.
        for each, tokens in told.items():
            if not tokens and "splice" in self.twins[each].config:
                tokens.append(7)
        expected = {each: self.twins[each].call(tokens) for each, tokens in told.items()}
        while told:
            step = self.controllers.step(told)
            told = {}
            for each, answer in step.outcomes.items():
                if isinstance(answer, Suspended):
                    each.wait(60)
                    told[each] = []
                elif isinstance(answer, Splice):
                    assert (answer.backtrack, answer.tokens) == expected[each]
                else:
                    assert isinstance(answer, Allowed)
                    assert allowed(step, each) == expected[each]

    @precondition(lambda self: self.twins)
    @rule(data=st.data())
    def rollback(self, data: st.DataObject) -> None:
        sequence = self.pick(data)
        twin = self.twins[sequence]
        most = min(twin.reach, len(twin.pending) + KEEP - (twin.furthest - twin.at))
        count = data.draw(st.integers(0, most))
        sequence.rollback(count)
        twin.rollback(count)

    @precondition(lambda self: 0 < len(self.twins) < BATCH)
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        sequence = self.pick(data)
        branches = data.draw(st.integers(1, 1 + BATCH - len(self.twins)))
        family = sequence.fork(branches)
        self.twins.update(zip(family[1:], self.twins[sequence].fork(branches), strict=True))

    @precondition(lambda self: self.twins)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        sequence = self.pick(data)
        del self.twins[sequence]
        sequence.close()

    @precondition(lambda self: self.killed < KILLS)
    @rule(index=st.integers(0, 1))
    def lose_a_worker(self, index: int) -> None:
        self.killed += 1  # Also if there is none to kill: what comes next must not depend on time.
        worker = self.pool.workers[index]
        if worker.ready:
            worker.kill("the test wants it")


TestBatch = Batch.TestCase
TestBatch.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
