"""Choosing the next token: transformers' logits processors, in llama.cpp's order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from onecopy.errors import InferenceFailed

if TYPE_CHECKING:
    from onecopy.nn.backends.text.options import TextOptions

    Processor = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """As transformers': of token ids `[1, n]` and scores `[1, vocab]`, new scores."""


class Sampler:
    """Chooses the tokens of one generation; with the same seed, the same ones.

    Constraints come first, then penalties, what cuts off unlikely tokens, and the temperature.
    """

    def __init__(
        self, options: TextOptions, constraints: Sequence[Processor], ends: frozenset[int]
    ) -> None:
        self._constraints = LogitsProcessorList(constraints)
        if options.ignore_eos and ends:
            self._constraints.append(SuppressTokensLogitsProcessor(sorted(ends)))
        self._penalties = LogitsProcessorList(_penalties(options))
        self._last = options.last_n_penalty
        self._warpers = LogitsProcessorList(_warpers(options))
        self._greedy = options.greedy
        self._generator = torch.Generator()
        if options.seeded:
            self._generator.manual_seed(options.seed & 0xFFFFFFFFFFFFFFF)
        else:
            self._generator.seed()

    def choose(self, tokens: Sequence[int], prompt: int, logits: torch.Tensor) -> int:
        """Return the next token.

        Args:
            tokens: of the prompt and what was generated.
            prompt: how many of them are the prompt's, which no penalty is for.
            logits: of what follows, `[1, vocab]`.

        Raises:
            InferenceFailed: the logits are not finite, or all are forbidden.
        """
        with torch.inference_mode():
            return self._chosen(torch.tensor([tokens]), prompt, logits)

    def _chosen(self, ids: torch.Tensor, prompt: int, logits: torch.Tensor) -> int:
        if not math.isfinite(float(logits.max())):  # NaN if one is.
            raise InferenceFailed("the model's logits are not finite; its weights may be broken")
        scores = self._constraints(ids, logits.float())
        recent = self._recent(ids[:, prompt:])
        if recent.shape[1]:
            scores = self._penalties(recent, scores)
        if not math.isfinite(float(scores.max())):
            raise InferenceFailed("the grammar and the guide of this text allow no token together")
        if self._greedy:
            return int(scores.argmax())
        weights = self._warpers(ids, scores).softmax(-1)
        return int(torch.multinomial(weights, 1, generator=self._generator))

    def _recent(self, generated: torch.Tensor) -> torch.Tensor:
        if self._last < 0:
            return generated
        return generated[:, max(0, generated.shape[1] - self._last) :]


class CountPenalty:
    """Lower the logits of tokens that were there: each time, and if at all.

    Source: OpenAI's API reference, "frequency and presence penalties".
    """

    def __init__(self, frequency: float, presence: float) -> None:
        self._frequency = frequency
        self._presence = presence

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """As a `LogitsProcessor`."""
        counts = torch.zeros_like(scores).scatter_add_(
            1, input_ids, torch.ones_like(input_ids, dtype=scores.dtype)
        )
        return scores - counts * self._frequency - (counts > 0) * self._presence


def _penalties(options: TextOptions) -> list[Processor]:
    found: list[Processor] = []
    if options.repeat_penalty > 0 and options.repeat_penalty != 1:
        found.append(RepetitionPenaltyLogitsProcessor(options.repeat_penalty))
    if options.frequency_penalty or options.presence_penalty:
        found.append(CountPenalty(options.frequency_penalty, options.presence_penalty))
    return found


def _warpers(options: TextOptions) -> list[Processor]:
    found: list[Processor] = []
    if options.greedy:
        return found
    if options.top_k > 0:
        found.append(TopKLogitsWarper(options.top_k))
    if 0 < options.typ_p < 1:
        found.append(TypicalLogitsWarper(options.typ_p))
    if options.top_p < 1:
        found.append(TopPLogitsWarper(max(0.0, options.top_p)))
    if 0 < options.min_p <= 1:
        found.append(MinPLogitsWarper(options.min_p))
    found.append(TemperatureLogitsWarper(options.temp))
    return found
