"""transformers' `generate` under controllers: batches, and beams by forks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from onecopy.errors import InvalidArgument, UnsupportedValue
from onecopy.guests.batch.adapters.bitmask import apply_bitmask, check_width
from onecopy.guests.batch.adapters.loop import await_guest
from onecopy.guests.batch.adapters.seen import SeenLogits
from onecopy.guests.batch.answers import Chosen, Fork, Splice, Suspended

if TYPE_CHECKING:
    import os

    import torch

    from onecopy.errors import OnecopyError
    from onecopy.guests.batch.answers import Answer, Step
    from onecopy.guests.batch.controllers import Controllers
    from onecopy.guests.batch.sequence import Sequence
    from onecopy.guests.wasm.module import Module


@dataclass
class Text:
    """One row of the batch, as `generate` has it."""

    sequence: Sequence
    tokens: tuple[int, ...]
    item: int
    """Which configuration it has."""
    forced: list[int] = field(default_factory=list)
    """What its guest has spliced in, and `generate` has not decoded yet."""
    chosen: int = -1
    """The token that its guest chose to come next; -1 if it did not."""
    ended: bool = False

    @property
    def only(self) -> int:
        """The one token that may come next; -1 if the guest's mask says which."""
        return self.forced[0] if self.forced else self.chosen

    def grown(self, sequence: Sequence, token: int, eos: int) -> Text:
        """Return the text with one more token, under a sequence of the family."""
        ended = self.ended or token == eos
        return Text(sequence, (*self.tokens, token), self.item, self.forced[1:], ended=ended)


class ControllerLogits:
    """A logits processor (`transformers.LogitsProcessor`, by its method) for one `generate` call.

        with ControllerLogits(controllers, "veto.wasm", schema, pad=pad) as guide:
            model.generate(**inputs, num_beams=4, logits_processor=[guide])

    Each row of the batch is a sequence; beams fork theirs. A text that has ended is not stepped any
    more. What a guest splices in is decoded token by token; guests that take tokens back, or fork,
    cannot be served by `generate`: use `decode`.

    Args:
        controllers: with a free row for each text, or for each beam. If guests see logits, they
            see the scores of `generate`, which goes on with what they leave there.
        module: Wasm, a path, or what `Pool.module` returned.
        config: for all texts, or a list with one for each.
        pad: the token that pads prompts on the left, of which guests are not told.
        options: for `Controllers.open`.

    Raises:
        UnsupportedValue: a guest wants what `generate` cannot do.
        InvalidArgument: another number of texts than of configurations.
    """

    def __init__(
        self,
        controllers: Controllers,
        module: Module | bytes | os.PathLike[str] | str,
        config: bytes | str | list[bytes | str] = b"",
        *,
        pad: int | None = None,
        **options: Any,
    ) -> None:
        self._controllers = controllers
        self._module = module
        self._configs = config if isinstance(config, list) else [config]
        self._pad = pad
        self._options = options
        self._seen = None if controllers.logits is None else SeenLogits(controllers.logits)
        self._texts: list[Text] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores without what guests forbid; called by `generate` for each token."""
        check_width(scores, self._controllers.vocabulary)
        rows = [tuple(each) for each in input_ids.tolist()]
        tokens = self._follow(rows) if self._texts else self._open(rows)
        answers, step = self._answered(tokens, scores)
        scores = scores.clone()
        for row, text in enumerate(self._texts):
            if not text.ended:
                self._apply(scores[row : row + 1], text, answers.get(text.sequence), step)
        return scores

    # ---- the first token ----

    def _open(self, rows: list[tuple[int, ...]]) -> dict[Sequence, list[int]]:
        """Open a sequence for each text, and fork it for its beams, which begin alike."""
        if len(rows) % len(self._configs):
            raise InvalidArgument(f"{len(self._configs)} configurations for {len(rows)} texts")
        alike: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        for row, tokens in enumerate(rows):
            alike.setdefault((self._item(row, len(rows)), tokens), []).append(row)
        found: dict[int, Text] = {}
        for (item, tokens), mine in alike.items():
            sequence = self._controllers.open(
                self._module, self._configs[item], self._unpadded(tokens), **self._options
            )
            for row, each in zip(mine, _family(sequence, len(mine)), strict=True):
                found[row] = Text(each, tokens, item)
        self._texts = [found[row] for row in range(len(rows))]
        return {each.sequence: [] for each in self._texts}

    def _item(self, row: int, count: int) -> int:
        return row * len(self._configs) // count

    def _unpadded(self, tokens: tuple[int, ...]) -> tuple[int, ...]:
        start = 0
        while start < len(tokens) and tokens[start] == self._pad:
            start += 1
        return tokens[start:]

    # ---- all others ----

    def _follow(self, rows: list[tuple[int, ...]]) -> dict[Sequence, list[int]]:
        """Find which text each row goes on with: beams are dropped, kept and doubled."""
        heirs: dict[int, list[int]] = {}
        for row, tokens in enumerate(rows):
            parent = self._parent(tokens[:-1], self._item(row, len(rows)), heirs)
            heirs.setdefault(parent, []).append(row)
        for i, text in enumerate(self._texts):
            if i not in heirs:
                text.sequence.close()
        found: dict[int, Text] = {}
        told: dict[Sequence, list[int]] = {}
        for i, mine in heirs.items():
            text = self._texts[i]
            family = _family(text.sequence, 1 if text.ended else len(mine))
            for row, each in zip(mine, family * len(mine), strict=False):
                found[row] = self._grown(text, each, rows[row][-1], told)
        self._texts = [found[row] for row in range(len(rows))]
        return told

    def _parent(self, tokens: tuple[int, ...], item: int, heirs: dict[int, list[int]]) -> int:
        same = [i for i, each in enumerate(self._texts) if each.tokens == tokens]
        mine = [i for i in same if self._texts[i].item == item]
        if not mine:
            raise InvalidArgument("a text that goes on with none of those before; one generate()")
        return min(mine, key=lambda i: len(heirs.get(i, ())))

    def _grown(
        self, text: Text, sequence: Sequence, token: int, told: dict[Sequence, list[int]]
    ) -> Text:
        """Let a text grow; a token that its guest had spliced in is no news to it."""
        grown = text.grown(sequence, token, self._controllers.vocabulary.eos)
        if grown.ended:
            sequence.close()
        elif not grown.forced:
            told[sequence] = [] if text.forced else [token]
        return grown

    # ---- what guests say ----

    def _answered(
        self, tokens: dict[Sequence, list[int]], scores: torch.Tensor
    ) -> tuple[dict[Sequence, Answer], Step | None]:
        """Step until there is an answer for each; rows stay as they are meanwhile."""
        answers: dict[Sequence, Answer] = {}
        step = None
        while tokens:
            self._show(tokens, scores)
            step = self._controllers.step(tokens)
            answers |= step.outcomes
            tokens = {}
            for each, answer in step.outcomes.items():
                if isinstance(answer, Suspended):
                    await_guest(each)
                    tokens[each] = []
                self._note(each, answer)
        return answers, step

    def _show(self, stepped: dict[Sequence, list[int]], scores: torch.Tensor) -> None:
        if self._seen is not None:
            for row, text in enumerate(self._texts):
                if text.sequence in stepped:
                    self._seen.show(text.sequence, scores[row])

    def _note(self, sequence: Sequence, answer: Answer) -> None:
        if isinstance(answer, Fork) or (isinstance(answer, Splice) and answer.backtrack):
            raise UnsupportedValue(
                f"the guest asks for {answer!r}, which generate() cannot do; use decode()"
            )
        for text in self._texts:
            if text.sequence is sequence and isinstance(answer, Splice):
                text.forced = list(answer.tokens)
            elif text.sequence is sequence and isinstance(answer, Chosen):
                text.chosen = answer.token

    def _apply(
        self, scores: torch.Tensor, text: Text, answer: Answer | None, step: Step | None
    ) -> None:
        """Set the scores `[1, vocab]` of what a guest forbids to -inf, in place."""
        row = text.sequence.row
        if text.only >= 0:
            kept = float(scores[0, text.only])
            scores.fill_(float("-inf"))
            scores[0, text.only] = kept if kept > float("-inf") else 0.0
        elif step is not None:
            mask = step.mask[row : row + 1]
            if self._seen is not None and answer is not None:
                scores.copy_(self._seen.taken({text.sequence: answer}, scores, mask))
            apply_bitmask(scores, mask)
            if step.biases is not None:
                biases = step.biases[row].to(scores.device)
                scores[0, : len(biases)] += biases

    @property
    def error(self) -> OnecopyError | None:
        """Why a guest failed; None if none did."""
        return next((e.sequence.error for e in self._texts if e.sequence.error is not None), None)

    def close(self) -> None:
        """Close its sequences; twice is fine."""
        for text in self._texts:
            text.sequence.close()

    def __enter__(self) -> ControllerLogits:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _family(sequence: Sequence, count: int) -> list[Sequence]:
    if count == 1:
        return [sequence]
    await_guest(sequence)
    return sequence.fork(count)
