"""What the engine makes of lines on which a worker that was taken over wrote anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from onecopy import GuestError
from onecopy.guests.batch import steps
from onecopy.guests.batch.answers import Failed
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.wasm import control
from onecopy.guests.workers.pool import Pool
from tests.guests.batch.test_controllers import SCRIPTED
from tests.guests.tokenizers_of import byte_level

pytest.importorskip("numpy")

WORST = (1 << 32) - 1


@pytest.fixture(scope="module")
def controllers() -> Iterator[Controllers]:
    """A batch of two."""
    with (
        Vocabulary.from_tokenizer(byte_level()) as vocabulary,
        Pool(workers=1, guest_ms=5000, step_ms=60_000) as pool,
        Controllers(None, vocabulary, pool, batch=2) as controllers,
    ):
        yield controllers


@pytest.mark.parametrize("kind", [control.SPLICE, control.FORK, control.CHOOSE, steps.FAILED])
def test_an_impossible_answer_fails_its_sequence(
    controllers: Controllers, build: Callable[..., bytes], kind: int
) -> None:
    with controllers.open(build(SCRIPTED)) as sequence:
        words, line = controllers.batch.board.words, sequence.line
        sequence.asked, sequence.history.hearing = 77, True
        for word in range(steps.NUMBER, steps.ANSWER + 100):
            words[line + word] = WORST
        words[line + steps.KIND] = kind
        words[line + steps.ANSWERED] = 77
        answer = controllers.step({sequence: []}).outcomes[sequence]
        assert isinstance(answer, Failed)
        assert isinstance(answer.error, GuestError)


def test_a_call_without_an_answer_is_not_made_again(
    controllers: Controllers, build: Callable[..., bytes]
) -> None:
    with controllers.open(build(SCRIPTED)) as sequence:
        words, line = controllers.batch.board.words, sequence.line
        sequence.asked, sequence.history.hearing = 77, True
        words[line + steps.KIND] = control.NONE
        words[line + steps.ANSWERED] = 77
        answer = controllers.step({sequence: []}).outcomes[sequence]
        assert isinstance(answer, Failed)


def test_an_unknown_kind_of_answer_ends_the_text(
    controllers: Controllers, build: Callable[..., bytes]
) -> None:
    with controllers.open(build(SCRIPTED)) as sequence:
        words, line = controllers.batch.board.words, sequence.line
        sequence.asked, sequence.history.hearing = 77, True
        words[line + steps.KIND] = WORST
        words[line + steps.ANSWERED] = 77
        controllers.step({sequence: []})
        assert sequence.state in ("ready", "failed", "stopped")
