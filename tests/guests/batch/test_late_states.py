"""Whatever is done to sequences that are late, opened or rebuilt, they say what their guests say.

As test_batch_states.py, but nobody waits for answers before the next thing is done. Moments are
those of the machine, so a seed says what is done, and not what comes of it.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import pytest

from onecopy.errors import LimitReached, WaitTimeout
from onecopy.guests.batch.answers import Splice, Step, Suspended
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.batch.sequence import Sequence
from onecopy.guests.workers.pool import Pool
from tests.guests.batch.test_batch_states import BATCH, KEEP, KILLS, Twin, scripted, vocabulary
from tests.guests.batch.test_controllers import allowed
from tests.guests.waiting import eventually

pytest.importorskip("numpy")
pytest.importorskip("ziglang")

THINGS = 80
WEIGHTS = {"open": 3, "step": 9, "rollback": 3, "fork": 2, "close": 2, "lose_a_worker": 1}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Two workers that are late as often as not."""
    with Pool(workers=2, guest_ms=5000, step_ms=1) as pool:
        yield pool


class Host:
    """Does things at random; `owed` is what sequences have not answered yet."""

    def __init__(self, pool: Pool, controllers: Controllers, seed: int) -> None:
        self.pool = pool
        self.controllers = controllers
        self.dice = random.Random(seed)
        self.twins: dict[Sequence, Twin] = {}
        self.owed: dict[Sequence, object] = {}
        self.kills = KILLS

    def do(self) -> None:
        """Do one thing."""
        (name,) = self.dice.choices(list(WEIGHTS), list(WEIGHTS.values()))
        getattr(self, name)()

    def tokens(self) -> list[int]:
        return [self.dice.randint(0, 900) for _ in range(self.dice.choice((0, 1, 1, 3)))]

    def pick(self) -> Sequence | None:
        return self.dice.choice(list(self.twins)) if self.twins else None

    def open(self) -> None:
        config = self.dice.choice(["", "splice=3 back=0"])
        prompt, wait = self.tokens(), self.dice.random() < 0.5
        with contextlib.suppress(LimitReached):
            sequence = self.controllers.open(scripted(), config, prompt, wait=wait)
            self.twins[sequence] = twin = Twin(config, vocabulary().size)
            twin.hear(prompt)

    def step(self) -> None:
        told = {}
        for each in [each for each in self.twins if self.dice.random() < 0.6]:
            told[each] = [] if each in self.owed or each.waiting else self.tokens()
            if each not in self.owed:
                self.owed[each] = self.twins[each].call(told[each])
        self.check(self.controllers.step(told))

    def check(self, step: Step) -> None:
        for each, answer in step.outcomes.items():
            if not isinstance(answer, Suspended):
                said = allowed(step, each)
                if isinstance(answer, Splice):
                    said = answer.backtrack, answer.tokens
                assert said == self.owed.pop(each), answer

    def rollback(self) -> None:
        sequence = self.pick()
        if sequence is None or isinstance(self.owed.get(sequence), tuple):
            return  # the host does not know yet what was spliced in
        twin = self.twins[sequence]
        most = min(twin.reach, len(twin.pending) + KEEP - (twin.furthest - twin.at))
        count = self.dice.randint(0, most)
        sequence.rollback(count)
        twin.rollback(count)
        if count:
            self.owed.pop(sequence, None)

    def fork(self) -> None:
        sequence = self.pick()
        if sequence is None or (sequence in self.owed and not self.has_a_mask(sequence)):
            return  # the twin has been called already, and this one has not
        with contextlib.suppress(WaitTimeout, LimitReached):
            family = sequence.fork(self.dice.randint(1, 3))
            twins = self.twins[sequence].fork(len(family))
            self.twins.update(zip(family[1:], twins, strict=True))

    def has_a_mask(self, sequence: Sequence) -> bool:
        with self.controllers._crew.lock:
            self.controllers.batch.ledger.settle(sequence)
        return sequence.answer is not None and not isinstance(self.owed[sequence], tuple)

    def close(self) -> None:
        sequence = self.pick()
        if sequence is not None:
            del self.twins[sequence]
            self.owed.pop(sequence, None)
            sequence.close()

    def lose_a_worker(self) -> None:
        worker = self.dice.choice(self.pool.workers)
        if self.kills and worker.ready:
            self.kills -= 1
            worker.kill("the test wants it")

    def all_have_answered(self) -> bool:
        self.check(self.controllers.step({each: [] for each in self.owed}))
        return not self.owed


@pytest.mark.parametrize("seed", range(12))
def test_what_is_late_is_what_it_would_have_been(pool: Pool, seed: int) -> None:
    with Controllers(None, vocabulary(), pool, batch=BATCH, keep=KEEP) as controllers:
        host = Host(pool, controllers, seed)
        for _ in range(THINGS):
            host.do()
        eventually(host.all_have_answered)
