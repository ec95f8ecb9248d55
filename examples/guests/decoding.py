"""What the examples with controllers share: a model that knows nothing, and the loop around it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from onecopy.guests import Controllers, Pool, Vocabulary
from onecopy.guests.batch import answers
from onecopy.guests.batch.sequence import Sequence
from onecopy.guests.decoding.byte_tokenizer import byte_tokenizer


def vocabulary(tokenizer: Path | None) -> Vocabulary:
    """Return the vocabulary of a tokenizer.json; without one, each byte is a token."""
    return Vocabulary.from_tokenizer(tokenizer or byte_tokenizer())


def pool() -> Pool:
    """Return two workers with so much time that a busy machine changes nothing."""
    return Pool(2, guest_ms=2_000, step_ms=10_000)


class Model:
    """Gives every token the same chance, so that all sense in a text is its controller's.

    Where the text may end it does so with the probability `end`.
    """

    def __init__(self, vocabulary: Vocabulary, seed: int = 0, end: float = 0.2) -> None:
        self.eos = vocabulary.eos
        self.random = random.Random(seed)
        self._end = end

    def sample(self, row: Iterable[int]) -> int:
        """Choose one of the tokens that a row of the mask allows."""
        words = [(32 * i, int(word)) for i, word in enumerate(row) if word]
        allowed = [at + bit for at, word in words for bit in range(32) if word >> bit & 1]
        if self.eos in allowed and self.random.random() < self._end:
            return self.eos
        return self.choose([token for token in allowed if token != self.eos] or allowed)

    def choose(self, tokens: list[int]) -> int:
        """Choose one of some tokens."""
        return self.random.choice(tokens)


def decode(
    controllers: Controllers, sequences: list[Sequence], model: Model, most: int
) -> list[str | None]:
    """Write texts of up to so many tokens, in one batch; None for those that did not end.

    Steps are not counted: one that comes too early for a guest, on a busy machine, is made again.
    """
    begins = {each: len(each.tokens) for each in sequences}
    appended: dict[Sequence, list[int]] = {each: [] for each in sequences}
    ended: set[Sequence] = set()
    while appended:
        step = controllers.step(appended)
        appended = {}
        for sequence, answer in step.outcomes.items():
            tokens = next_tokens(answer, step.mask_array[sequence.row], model)
            if tokens is None:
                ended.add(sequence)
            elif len(sequence.tokens) < begins[sequence] + most:
                appended[sequence] = tokens
    return [
        text_of(each.tokens[begin:], controllers.vocabulary) if each in ended else None
        for each, begin in begins.items()
    ]


def next_tokens(answer: answers.Answer, row: Iterable[int], model: Model) -> list[int] | None:
    """Return what comes next in a text; None where it ends."""
    match answer:
        case answers.Allowed():
            token = model.sample(row)
            return None if token == model.eos else [token]
        case answers.Splice() | answers.Suspended():
            return []
        case answers.Failed():
            raise answer.error
    return None


def text_of(tokens: Iterable[int], vocabulary: Vocabulary) -> str:
    """Return the text of some tokens."""
    return b"".join(map(vocabulary.token, tokens)).decode(errors="replace")
