"""A decode of a thousand steps whose workers are killed at random moments."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable

import pytest

from onecopy import WorkerLost
from onecopy.guests.batch.answers import Allowed, Failed, Splice, Suspended
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.batch.sequence import Sequence
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.pool import Pool
from tests.guests.batch.test_controllers import SCRIPTED, allowed
from tests.guests.tokenizers_of import byte_level

pytest.importorskip("numpy")

STEPS = 1000
CONFIGS = ("", "splice=7 back=2", "", "splice=50 back=0", "", "count=1") * 2


class Decoding:
    """Decodes greedily; what a sequence saw does not depend on the others' pace."""

    def __init__(self, controllers: Controllers, module: bytes) -> None:
        self.controllers = controllers
        self.sequences = [
            controllers.open(module, config, [i], request=f"r{i}")
            for i, config in enumerate(CONFIGS)
        ]
        self.seen: dict[Sequence, list[object]] = {each: [] for each in self.sequences}
        self.tokens: dict[Sequence, list[int]] = {each: [] for each in self.sequences}

    def running(self) -> dict[Sequence, list[int]]:
        """What to step: those that have not seen enough, and not failed."""
        return {
            each: tokens
            for each, tokens in self.tokens.items()
            if each.state != "failed" and len(self.seen[each]) < STEPS
        }

    def run(self, disturb: Callable[[int], None]) -> None:
        """Decode until all have seen enough; `disturb` is called while guests are at work."""
        count = 0
        while stepped := self.running():
            self.controllers.begin(stepped)
            disturb(count)
            step = self.controllers.finish()
            count += 1
            for each, answer in step.outcomes.items():
                self.note(each, answer, step)

    def note(self, each: Sequence, answer: object, step: object) -> None:
        """Note what a sequence saw, and choose its next token."""
        self.tokens[each] = []
        if isinstance(answer, Allowed):
            mask = allowed(step, each)
            self.seen[each].append(mask)
            self.tokens[each] = mask[:1]
        elif isinstance(answer, Splice):
            self.seen[each].append(answer)
        elif isinstance(answer, Suspended):
            if each.awaited:
                with contextlib.suppress(WorkerLost):  # the next step says so
                    each.wait(60)
        else:
            assert isinstance(answer, Failed)


def decoded(module: bytes, vocabulary: Vocabulary, kills: int, seed: int = 0) -> Decoding:
    """Decode, and kill workers `kills` times meanwhile."""
    dice = random.Random(seed)
    moments = set(dice.sample(range(STEPS), kills))
    with (
        Pool(workers=2, guest_ms=5000, step_ms=60_000) as pool,
        Controllers(None, vocabulary, pool, batch=len(CONFIGS), keep=0) as controllers,
    ):

        def disturb(count: int) -> None:
            if count in moments:
                for _ in range(dice.randrange(2000)):
                    pass
                worker = dice.choice(pool.workers)
                if worker.alive:
                    os.kill(worker.pid, signal.SIGKILL)

        decoding = Decoding(controllers, module)
        decoding.run(disturb)
        return decoding


def test_what_survives_is_as_if_nothing_had_happened(build: Callable[..., bytes]) -> None:
    module = build(SCRIPTED)
    with Vocabulary.from_tokenizer(byte_level()) as vocabulary:
        expected = decoded(module, vocabulary, 0)
        found = decoded(module, vocabulary, 7)
    survivors = 0
    for clean, disturbed in zip(expected.sequences, found.sequences, strict=True):
        seen = found.seen[disturbed]
        # One that failed did well until then.
        assert seen == expected.seen[clean][: len(seen)]
        survivors += len(seen) == STEPS
        if len(seen) == STEPS:
            assert disturbed.tokens == clean.tokens
    assert survivors > 0
