"""The guided demo's plot: a model that rambles, the same under controllers, and one that loops."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from onecopy.demo.check import Check
from onecopy.demo.guided.card import PROMPTS, SCHEMA, parses
from onecopy.demo.guided.decoding import Batch, Decoded, StepTime, ramble

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.demo.guided.language_model import LanguageModel
    from onecopy.guests.decoding.vocabulary import Vocabulary
    from onecopy.guests.workers.pool import Pool

STEPS: Final = 160
GUEST_MS: Final = 20
STEP_MS: Final = 500


@dataclass
class Outcome:
    """Everything that the demo saw."""

    model: LanguageModel
    unguided: list[str] = field(default_factory=list)
    guided: list[str] = field(default_factory=list)
    times: list[StepTime] = field(default_factory=list)
    looped: str = ""
    checks: list[Check] = field(default_factory=list)


class Story:
    """Plays it once; `say` is told what is going on."""

    def __init__(self, model: LanguageModel, workers: int, say: Callable[[str], None]) -> None:
        self._model = model
        self._workers = workers
        self._say = say
        self._prompts = [model.tokenizer.encode(each).ids for each in PROMPTS]
        self.outcome = Outcome(model)

    def play(self) -> Outcome:
        """Run everything; what does not hold is a failed check in the outcome."""
        from onecopy.guests.decoding.vocabulary import Vocabulary
        from onecopy.guests.workers.pool import Pool

        self._say("the model writes as it likes …")
        self.outcome.unguided = ramble(self._model, self._prompts, STEPS // 4)
        self._say("building two controllers from C …")
        card, loop = _built("card.c"), _built("loop.c")
        vocabulary = Vocabulary.from_tokenizer(self._model.tokenizer, eos=self._model.end)
        with Pool(self._workers, guest_ms=GUEST_MS, step_ms=STEP_MS) as pool:
            self._say("the same model under controllers …")
            clean = self._decode(pool, vocabulary, [card] * len(PROMPTS))
            self._say("once more, beside a controller that never comes back …")
            *others, looping = self._decode(pool, vocabulary, [*[card] * len(PROMPTS), loop])
        self._check_texts(clean)
        self._check_neighbours(clean, others, looping)
        return self.outcome

    def _decode(self, pool: Pool, vocabulary: Vocabulary, modules: list[bytes]) -> list[Decoded]:
        from onecopy.guests.batch.controllers import Controllers

        with (
            Controllers(None, vocabulary, pool, batch=len(modules)) as controllers,
            ExitStack() as stack,
        ):
            prompts = [*self._prompts, self._prompts[0]]
            sequences = [
                stack.enter_context(controllers.open(module, SCHEMA, prompt))
                for module, prompt in zip(modules, prompts, strict=False)
            ]
            batch = Batch(self._model, controllers, sequences)
            batch.run(STEPS)
            self.outcome.times = self.outcome.times or batch.times
            return [batch.decoded[each] for each in sequences]

    def _check_texts(self, clean: list[Decoded]) -> None:
        texts = self.outcome.guided = [self._model.tokenizer.decode(each.tokens) for each in clean]
        alone = sum(map(parses, self.outcome.unguided))
        self._check("without controllers no text is a card", not alone, f"{alone} are")
        bad = [text for text in texts if not parses(text)]
        self._check(f"under controllers all {len(texts)} texts are cards", not bad, repr(bad))

    def _check_neighbours(
        self, clean: list[Decoded], others: list[Decoded], looping: Decoded
    ) -> None:
        from onecopy.errors import GuestTimeout

        self.outcome.looped = str(looping.error)
        cut = isinstance(looping.error, GuestTimeout)
        self._check("the looping controller was cut off", cut, self.outcome.looped)
        same = sum(a.masks == b.masks for a, b in zip(clean, others, strict=True))
        self._check(
            f"its {len(clean)} neighbours' masks are those of the run without it, bit for bit",
            same == len(clean) and all(each.masks for each in clean),
            f"only {same} are",
        )

    def _check(self, claim: str, held: bool, trouble: str) -> None:
        self.outcome.checks.append(Check(claim, held, trouble))


def _built(name: str) -> bytes:
    from onecopy.guests.toolchain import build

    return build(str(files(__package__).joinpath(name)))
