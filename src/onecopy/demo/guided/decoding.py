"""Decoding a batch under controllers: the loop that a host of guests has."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence as Items

    import torch

    from onecopy.demo.guided.language_model import LanguageModel
    from onecopy.errors import OnecopyError
    from onecopy.guests.batch.answers import Answer, Step
    from onecopy.guests.batch.controllers import Controllers
    from onecopy.guests.batch.sequence import Sequence


@dataclass
class Decoded:
    """What became of one sequence."""

    tokens: list[int] = field(default_factory=list)
    """Those that were sampled, without the end."""
    masks: list[bytes] = field(default_factory=list)
    """Its row of the mask in every step in which a token was sampled."""
    complete: bool = False
    """Whether it came to its end."""
    error: OnecopyError | None = None


@dataclass
class StepTime:
    """Where the time of one step went, in seconds."""

    begin: float
    """The engine's part: appended tokens to the workers, one signal each."""
    model: float
    """The model's forward pass; the guests are at work meanwhile."""
    wait: float
    """From the end of the forward pass until the last mask was there."""
    sample: float
    guests: float
    """Time of all guests in their workers, what they called included."""
    batch: int


class Batch:
    """Sequences that are decoded together; each samples by a generator of its own."""

    def __init__(
        self, model: LanguageModel, controllers: Controllers, sequences: Items[Sequence]
    ) -> None:
        self._model = model
        self._controllers = controllers
        self._appended: dict[Sequence, list[int]] = {each: [] for each in sequences}
        self._generators = {each: _generator(i) for i, each in enumerate(sequences)}
        self._guest_seconds = 0.0
        self.decoded = {each: Decoded() for each in sequences}
        self.times: list[StepTime] = []

    def run(self, steps: int) -> None:
        """Decode until all are complete, for `steps` at most."""
        while self._appended and len(self.times) < steps:
            self._step()

    def _step(self) -> None:
        clock = [time.perf_counter()]
        sequences = list(self._appended)
        self._controllers.begin(self._appended)
        clock.append(time.perf_counter())
        logits = self._model.next_logits([each.tokens for each in sequences])
        clock.append(time.perf_counter())
        step = self._controllers.finish()
        clock.append(time.perf_counter())
        self._appended = {}
        for sequence, row in zip(sequences, logits, strict=True):
            self._act(sequence, step, row)
        clock.append(time.perf_counter())
        self._note(clock, sequences)

    def _act(self, sequence: Sequence, step: Step, logits: torch.Tensor) -> None:
        from onecopy.guests.batch.answers import Failed, Stop, samples

        answer: Answer = step.outcomes[sequence]
        decoded = self.decoded[sequence]
        if samples(answer):
            self._sample(sequence, step, logits)
        elif isinstance(answer, Failed):
            decoded.error = answer.error
        elif isinstance(answer, Stop):
            decoded.complete = True
        else:
            self._appended[sequence] = []

    def _sample(self, sequence: Sequence, step: Step, logits: torch.Tensor) -> None:
        decoded = self.decoded[sequence]
        mask = step.mask_array[sequence.row].tobytes()
        token = sample(logits, mask, self._generators[sequence])
        decoded.masks.append(mask)
        if token == self._model.end:
            decoded.complete = True
        else:
            decoded.tokens.append(token)
            self._appended[sequence] = [token]

    def _note(self, clock: list[float], sequences: list[Sequence]) -> None:
        begin, model, wait, acting = (b - a for a, b in itertools.pairwise(clock))
        before, self._guest_seconds = (
            self._guest_seconds,
            sum(each.seconds for each in self.decoded),
        )
        guests = self._guest_seconds - before
        self.times.append(StepTime(begin, model, wait, acting, guests, len(sequences)))


def sample(logits: torch.Tensor, mask: bytes, generator: torch.Generator) -> int:
    """Return a token, by its probability among those that a packed mask allows."""
    import numpy as np
    import torch

    bits = np.unpackbits(np.frombuffer(mask, "u1"), bitorder="little", count=len(logits))
    allowed = logits.masked_fill(torch.from_numpy(bits == 0), float("-inf"))
    return int(torch.multinomial(allowed.softmax(0), 1, generator=generator))


def ramble(model: LanguageModel, prompts: Items[list[int]], steps: int) -> list[str]:
    """Return what the model writes after each prompt when nobody steers it."""
    import torch

    texts = [list(each) for each in prompts]
    generators = [_generator(i) for i in range(len(texts))]
    for _ in range(steps):
        for text, logits, generator in zip(
            texts, model.next_logits(texts), generators, strict=True
        ):
            text.append(int(torch.multinomial(logits.softmax(0), 1, generator=generator)))
    ends = [
        text.index(model.end, len(prompt)) if model.end in text[len(prompt) :] else None
        for text, prompt in zip(texts, prompts, strict=True)
    ]
    return [
        model.tokenizer.decode(text[len(prompt) : end])
        for text, prompt, end in zip(texts, prompts, ends, strict=True)
    ]


def _generator(seed: int) -> torch.Generator:
    import torch

    return torch.Generator().manual_seed(seed)
