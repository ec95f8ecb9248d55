"""A decoding loop in plain torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onecopy.errors import OnecopyError, WaitTimeout
from onecopy.guests.batch.adapters.bitmask import apply_bitmask, check_width
from onecopy.guests.batch.adapters.seen import SeenLogits
from onecopy.guests.batch.answers import Chosen, Fork, Splice, Suspended, samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import torch

    from onecopy.guests.batch.answers import Answer, Step
    from onecopy.guests.batch.controllers import Controllers
    from onecopy.guests.batch.sequence import Sequence

_WAIT_SECONDS: Final = 60.0


def greedy(logits: torch.Tensor) -> list[int]:
    """Choose the likeliest token of each row."""
    return [int(token) for token in logits.argmax(-1)]


def decode(
    controllers: Controllers,
    sequences: Iterable[Sequence],
    model: Callable[[list[list[int]]], torch.Tensor],
    *,
    max_tokens: int,
    sample: Callable[[torch.Tensor], list[int]] = greedy,
) -> dict[Sequence, list[int]]:
    """Decode sequences until their guests or the model end them; return the tokens of each.

    Guests are at work while the model is, unless they see its logits (`Controllers(logits=…)`):
    then they are called when these are there, and what they leave in their rows is sampled from.
    Branches that guests fork off are in the result too. A sequence whose guest failed is in it as
    far as it came, and says so by its `error`.

        texts = decode(controllers, [sequence], model, max_tokens=100)

    Args:
        controllers: whose sequences these are.
        sequences: that were opened and not stepped yet, or stand where `step` may be given no
            tokens.
        model: returns the logits `[n, vocab]` of what follows each of n texts.
        max_tokens: how long a text may become after its prompt.
        sample: chooses a token of each row of logits; forbidden ones are -inf, and biases added.

    Raises:
        InvalidArgument: the model has fewer logits than the vocabulary has tokens.
    """
    loop = _Loop(controllers, max_tokens, sample)
    tokens: dict[Sequence, list[int]] = {each: [] for each in sequences}
    seen = dict.fromkeys(tokens)
    while tokens:
        step, logits = loop.step(tokens, model)
        tokens = loop.next(list(tokens), step, logits)
        seen.update(dict.fromkeys(tokens))
    return {each: loop.text(each) for each in seen}


def await_guest(sequence: Sequence) -> None:
    """Wait for the guest of a suspended sequence; if it fails, the next step says so.

    Raises:
        WaitTimeout: nothing happened for a minute.
    """
    if sequence.awaited:
        try:
            sequence.wait(_WAIT_SECONDS)
        except WaitTimeout:
            raise
        except OnecopyError:
            pass


class _Loop:
    """What to append to whom after a step."""

    def __init__(
        self,
        controllers: Controllers,
        max_tokens: int,
        sample: Callable[[torch.Tensor], list[int]],
    ) -> None:
        self._controllers = controllers
        self._seen = None if controllers.logits is None else SeenLogits(controllers.logits)
        self._eos = controllers.vocabulary.eos
        self._max_tokens = max_tokens
        self._sample = sample

    def step(
        self, tokens: dict[Sequence, list[int]], model: Callable[[list[list[int]]], torch.Tensor]
    ) -> tuple[Step, torch.Tensor]:
        """Make a step; return it, and the logits of what follows the texts."""
        if self._seen is None:
            self._controllers.begin(tokens)
            logits = model([each.tokens for each in tokens])
            step = self._controllers.finish()
            check_width(logits, self._controllers.vocabulary)
            return step, logits
        logits = model([each.tokens + appended for each, appended in tokens.items()])
        for each, row in zip(tokens, logits, strict=True):
            self._seen.show(each, row)
        return self._controllers.step(tokens), logits

    def text(self, sequence: Sequence) -> list[int]:
        """The tokens after the prompt."""
        return sequence.tokens[len(sequence.history.prompt) :]

    def next(
        self, stepped: list[Sequence], step: Step, logits: torch.Tensor
    ) -> dict[Sequence, list[int]]:
        """Return those that go on, and what was chosen for each."""
        chosen = self._chosen(stepped, step, logits)
        tokens: dict[Sequence, list[int]] = {}
        for each in stepped:
            answer = step.outcomes[each]
            if each in chosen:
                tokens |= self._grown(each, chosen[each])
            elif isinstance(answer, Splice | Fork | Suspended):
                tokens |= self._still(each, answer)
        return tokens

    def _chosen(
        self, stepped: list[Sequence], step: Step, logits: torch.Tensor
    ) -> dict[Sequence, int]:
        answers = step.outcomes
        places = [i for i, each in enumerate(stepped) if samples(answers[each])]
        chosen = {
            each: answer.token for each, answer in answers.items() if isinstance(answer, Chosen)
        }
        if places:
            rows = [stepped[i].row for i in places]
            wanted = self._masked([stepped[i] for i in places], logits[places], step)
            if step.biases is not None:
                wanted[:, : step.biases.shape[1]] += step.biases[rows].to(wanted.device)
            picked = self._sample(wanted)
            chosen.update(zip((stepped[i] for i in places), picked, strict=True))
        return chosen

    def _masked(self, sequences: list[Sequence], logits: torch.Tensor, step: Step) -> torch.Tensor:
        mask = step.mask[[each.row for each in sequences]]
        if self._seen is None:
            return apply_bitmask(logits, mask)
        answers = {each: step.outcomes[each] for each in sequences}
        return self._seen.taken(answers, logits, mask)

    def _grown(self, sequence: Sequence, token: int) -> dict[Sequence, list[int]]:
        if token == self._eos or len(self.text(sequence)) >= self._max_tokens:
            return {}
        return {sequence: [token]}

    def _still(self, sequence: Sequence, answer: Answer) -> dict[Sequence, list[int]]:
        if isinstance(answer, Fork):
            return {each: [] for each in answer.sequences}
        if isinstance(answer, Suspended):
            await_guest(sequence)
        if len(self.text(sequence)) > self._max_tokens:
            return {}
        return {sequence: []}
