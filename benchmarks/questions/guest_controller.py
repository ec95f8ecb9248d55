"""What does one guided sequence cost in its worker: a step, a fork, a rollback?"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.questions.guest_step import SCHEMA, VETOED, guest
from benchmarks.stage import FULL, Stage
from benchmarks.vocabularies import tokenizer_json
from onecopy.guests import Vocabulary
from onecopy.guests.decoding.controller import Controller
from onecopy.guests.decoding.grammars import Grammars
from onecopy.guests.decoding.outcome import Mask
from onecopy.guests.wasm.engine import ticker
from onecopy.guests.wasm.module import compile_module

STEPS, WARM, BACK = 300, 50, 10
EPOCHS = 1000
LIMITS = {32_000: 25.0, 128_000: 40.0}
"""Vocabularies, and what a step may take: its share of a batch's."""
FORK, ROLLBACK = 500.0, 100.0
OURS, NATIVE = "onecopy", "llguidance"
WAITING, BACKWARDS = "a fork, an instance waiting", f"a rollback of {BACK} tokens"
now = time.perf_counter


def ask(stage: Stage) -> Answer:
    """Decode at random under a schema and a veto; llguidance gives the same masks beside it."""
    steps = Table("a step: consume, mask, veto, row", "µs", ours=OURS)
    others = Table("beside steps", "µs", ours=WAITING)
    answer = Answer("guest_controller", [steps, others])
    wasm = guest(stage)
    if wasm is None:
        return answer
    for size in LIMITS if stage.scale == FULL else (2_000,):
        column = f"{size:,} tokens"
        with _open(stage, wasm, size) as walk:
            ours, theirs = _steps(walk, stage.scale.rounds)
            steps.put_row(OURS, column, Summary.of(ours, 1e6))
            steps.put_row(NATIVE, column, Summary.of(theirs, 1e6))
            for title, times in _beside(walk, 20 * stage.scale.rounds).items():
                others.put_row(title, column, Summary.of(times, 1e6))
        answer.targets.extend(_targets(steps, others, size))
    return answer


@contextmanager
def _open(stage: Stage, wasm: bytes, size: int) -> Iterator[_Walk]:
    with Vocabulary.from_tokenizer(tokenizer_json(size), size=size) as vocabulary:
        grammars = Grammars(vocabulary)
        module = compile_module(wasm, stage.root / "modules").load()
        with (
            Controller(module, vocabulary, config=SCHEMA.encode(), grammars=grammars) as controller,
            ticker.running(),
        ):
            controller.init_prompt([], seconds=10)
            yield _Walk(controller, grammars.compile("json_schema", SCHEMA))


class _Walk:
    """Decodes at random, and asks both for each mask."""

    def __init__(self, controller: Controller, native: Any) -> None:
        import numpy as np

        words = controller.vocabulary.mask_words
        self._controller, self._native = controller, native
        self._rows = np.zeros((2, words), np.uint32)
        self._ours, self._theirs = (row.ctypes.data for row in self._rows)
        self._dice = random.Random(1)
        self._np = np
        self.tokens: list[int] = []

    def step(self) -> tuple[float, float]:
        """Return the seconds of both; whoever comes first alternates."""
        times: dict[Any, float] = {}
        for each in self._dice.sample((self._step, self._ask), 2):
            begin = now()
            each()
            times[each] = now() - begin
        self._rows[1, VETOED // 32] &= ~self._np.uint32(1 << VETOED % 32)
        assert (self._rows[0] == self._rows[1]).all(), "the masks differ"
        bits = self._np.unpackbits(self._rows[0].view("u1"), bitorder="little")
        self.tokens = [int(self._dice.choice(self._np.flatnonzero(bits)))]
        return times[self._step], times[self._ask]

    def fork(self, spare: int) -> float:
        """Return the seconds of a fork into two."""
        self.step()
        self._controller.settle(spare)
        begin = now()
        branch = self._controller.fork(2)[1]
        took = now() - begin
        branch.close()
        return took

    def rollback(self) -> float:
        """Return the seconds of going back some steps, which are then done anew."""
        self._controller.keep(BACK)
        for _ in range(BACK + 1):
            self.step()
        begin = now()
        self._controller.rollback(BACK)
        took = now() - begin
        self._native.rollback(BACK)
        self.tokens = []
        self._controller.keep(0)
        return took

    def save(self) -> float:
        """Return the seconds of what makes a rollback possible."""
        self._controller.keep(BACK)
        self.step()
        begin = now()
        self._controller.settle()
        took = now() - begin
        self._controller.keep(0)
        return took

    def _step(self) -> None:
        outcome = self._controller.step(self.tokens, EPOCHS)
        assert isinstance(outcome, Mask), outcome
        outcome.write(self._ours, self._rows.shape[1])

    def _ask(self) -> None:
        self._native.step(self.tokens, self._theirs, self._rows.nbytes // 2)


def _steps(walk: _Walk, rounds: int) -> tuple[list[float], list[float]]:
    pairs = [walk.step() for _ in range(WARM + rounds * STEPS)][WARM:]
    return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]


def _beside(walk: _Walk, count: int) -> dict[str, list[float]]:
    return {
        WAITING: [walk.fork(spare=1) for _ in range(count)],
        "a fork": [walk.fork(spare=0) for _ in range(count)],
        BACKWARDS: [walk.rollback() for _ in range(count)],
        "saving a state for that, between steps": [walk.save() for _ in range(count)],
    }


def _targets(steps: Table, others: Table, size: int) -> list[Target]:
    column = f"{size:,} tokens"
    ours = steps.rows[OURS][column].median
    forks, rollbacks = (others.rows[title][column].median for title in (WAITING, BACKWARDS))
    return [
        Target(f"a step of one sequence, {column}", LIMITS.get(size, 25.0), ours, "µs"),
        Target(f"a fork of a sequence, {column}", FORK, forks, "µs"),
        Target(f"a rollback of {BACK} tokens, {column}", ROLLBACK, rollbacks, "µs"),
    ]
