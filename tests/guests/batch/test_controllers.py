"""Steering a batch: sequences in workers, steps in shared memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onecopy import GuestError, GuestTrapped, InvalidArgument, LimitReached
from onecopy.guests.batch.answers import Allowed, Chosen, Failed, Splice, Stop, Suspended
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.pool import Pool
from tests.processes import output_of

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")

SCRIPTED = Path(__file__).parents[1] / "modules" / "scripted.c"
# Generous, for a machine that has other things to do: these tests are not about time.
PATIENT = {"guest_ms": 2000, "step_ms": 60_000}


@pytest.fixture
def controllers(vocabulary: Vocabulary, pool: Pool) -> Iterator[Controllers]:
    """A batch of eight."""
    with Controllers(None, vocabulary, pool, batch=8, biases=True, keep=0) as controllers:
        yield controllers


def allowed(step, sequence) -> list[int]:
    """The tokens that a row allows."""
    row = step.mask_array[sequence.row].view("u1")
    return np.flatnonzero(np.unpackbits(row, bitorder="little")).tolist()


def decode(controllers, sequences, steps: int) -> list[list[int]]:
    """Decode greedily by the lowest allowed token; return the masks of each sequence's row."""
    seen = [[] for _ in sequences]
    tokens = {sequence: [] for sequence in sequences}
    for _ in range(steps):
        step = controllers.step(tokens)
        for i, sequence in enumerate(sequences):
            assert isinstance(step.outcomes[sequence], Allowed)
            seen[i].append(allowed(step, sequence))
            tokens[sequence] = [seen[i][-1][0]]
    return seen


def test_guests_say_what_may_come_next(controllers: Controllers, scripted: bytes) -> None:
    one, two = (controllers.open(scripted, prompt=[5]) for _ in range(2))
    first, second = decode(controllers, [one, two], 5)
    assert first == second
    assert len({tuple(each) for each in first}) == 5
    assert one.tokens == [5, *(each[0] for each in first[:-1])]
    assert one.steps == 5
    assert one.seconds > 0
    assert one.logs[-1][1] == "called"
    one.close()
    assert one.logs == []


def test_biases_are_dense_and_never_outside_the_mask(
    controllers: Controllers, scripted: bytes
) -> None:
    sequence = controllers.open(scripted)
    step = controllers.step({sequence: []})
    row = step.biases[sequence.row]
    finite = torch.isfinite(row).nonzero().flatten().tolist()
    assert finite == allowed(step, sequence)
    assert row.max() == 1.5
    assert not torch.isnan(step.biases).any()


def test_rows_without_a_sequence_allow_everything(
    controllers: Controllers, scripted: bytes
) -> None:
    sequence = controllers.open(scripted)
    step = controllers.step({sequence: []})
    other = 1 if sequence.row == 0 else 0
    assert step.mask[other, 0] == -1
    row = sequence.row
    sequence.close()
    assert step.mask[row, 0] == -1
    sequence.close()


def test_a_splice_edits_the_text_and_goes_on(controllers: Controllers, scripted: bytes) -> None:
    sequence = controllers.open(scripted, "splice=3 back=1", [1])
    decode(controllers, [sequence], 2)
    step = controllers.step({sequence: [9]})
    splice = step.outcomes[sequence]
    assert isinstance(splice, Splice)
    assert (splice.backtrack, len(splice.tokens)) == (1, 3)
    assert 9 not in sequence.tokens
    assert sequence.tokens[-3:] == list(splice.tokens)
    step = controllers.step({sequence: []})
    assert isinstance(step.outcomes[sequence], Allowed)


def test_a_splice_of_the_prompt_is_part_of_the_text(
    controllers: Controllers, scripted: bytes
) -> None:
    sequence = controllers.open(scripted, "init_splice=0", [1, 2])
    assert sequence.tokens == [1, 2, 7, 7]
    decode(controllers, [sequence], 2)


def test_a_sequence_keeps_books(controllers: Controllers, scripted: bytes) -> None:
    """Of its tokens, calls and time; its guest takes a token back, and splices in three."""
    sequence = controllers.open(scripted, "splice=2 back=1", [5, 6])
    assert sequence.usage == (2, 0, 0, 0)
    controllers.step({sequence: []})
    step = controllers.step({sequence: [7]})
    (answer,) = step.outcomes.values()
    assert isinstance(answer, Splice)
    assert sequence.usage == (2, 1, 3, 1)
    controllers.step({sequence: []})
    assert sequence.steps == 3
    assert sequence.seconds > 0
    assert sequence.logs == [(20, "called")] * 3


def test_a_stop_leaves_only_the_end(controllers: Controllers, scripted: bytes) -> None:
    sequence = controllers.open(scripted, "stop=2")
    decode(controllers, [sequence], 1)
    for _ in range(2):
        step = controllers.step({sequence: []})
        assert isinstance(step.outcomes[sequence], Stop)
        assert allowed(step, sequence) == [controllers.vocabulary.eos]
    assert sequence.state == "stopped"


def test_a_guest_may_choose_the_token_itself(controllers: Controllers, scripted: bytes) -> None:
    sequence = controllers.open(scripted, "choose=1 token=33")
    step = controllers.step({sequence: []})
    assert step.outcomes[sequence] == Chosen(33)
    assert allowed(step, sequence) == [33]
    step = controllers.step({sequence: [33]})
    assert isinstance(step.outcomes[sequence], Allowed)


@pytest.mark.parametrize(
    ("config", "error"),
    [("trap=2", GuestTrapped), ("nothing=2", GuestError), ("choose=2 token=1000000", GuestError)],
)
@pytest.mark.parametrize("on_failure", ["stop", "suspend", "free"])
def test_a_guest_that_fails_costs_itself(
    controllers: Controllers, scripted: bytes, config: str, error: type, on_failure: str
) -> None:
    bystander = controllers.open(scripted)
    sequence = controllers.open(scripted, config, on_failure=on_failure)
    decode(controllers, [bystander, sequence], 1)
    for _ in range(2):
        step = controllers.step({bystander: [1], sequence: []})
        failed = step.outcomes[sequence]
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, error)
        assert failed.then == on_failure
        assert isinstance(step.outcomes[bystander], Allowed)
        count = len(allowed(step, sequence))
        assert count == (controllers.vocabulary.size if on_failure == "free" else 1)
        assert torch.isfinite(step.biases[sequence.row]).sum() == count
    assert sequence.state == "failed"
    assert sequence.error is failed.error


@pytest.mark.parametrize("config", ["init_trap=1", "init_loop=1"])
def test_a_guest_that_cannot_be_opened_leaves_its_row(
    controllers: Controllers, scripted: bytes, config: str
) -> None:
    for _ in range(2):
        with pytest.raises(GuestError):
            controllers.open(scripted, config, seconds=0.05)
    sequences = [controllers.open(scripted) for _ in range(8)]
    with pytest.raises(LimitReached, match="batch="):
        controllers.open(scripted)
    decode(controllers, sequences, 2)


def test_opening_need_not_be_waited_for(controllers: Controllers, scripted: bytes) -> None:
    sequence = controllers.open(scripted, wait=False)
    while isinstance(controllers.step({sequence: []}).outcomes[sequence], Suspended):
        sequence.wait(60)
    assert sequence.state == "ready"


def test_the_model_works_while_guests_do(controllers: Controllers, scripted: bytes) -> None:
    sequence = controllers.open(scripted)
    controllers.begin({sequence: []})
    with pytest.raises(InvalidArgument, match="finish"):
        controllers.begin({sequence: []})
    step = controllers.finish()
    assert isinstance(step.outcomes[sequence], Allowed)
    with pytest.raises(InvalidArgument, match="begin"):
        controllers.finish()


def test_a_sequence_may_be_closed_while_guests_are_at_work(
    controllers: Controllers, scripted: bytes
) -> None:
    one, two = (controllers.open(scripted) for _ in range(2))
    controllers.begin({one: [], two: []})
    two.close()
    three = controllers.open(scripted)
    step = controllers.finish()
    assert list(step.outcomes) == [one]
    assert three.row != one.row
    decode(controllers, [three], 2)


def test_a_refused_step_changes_nothing(controllers: Controllers, scripted: bytes) -> None:
    sequence = controllers.open(scripted, prompt=[3])
    closed = controllers.open(scripted)
    closed.close()
    for wrong in ({sequence: [1_000_000]}, {sequence: [-1]}, {sequence: [1], closed: []}):
        with pytest.raises(InvalidArgument):
            controllers.step(wrong)
    assert sequence.tokens == [3]
    decode(controllers, [sequence], 2)


def test_sequences_of_a_request_share_variables(controllers: Controllers, scripted: bytes) -> None:
    alone = [controllers.open(scripted, "count=1") for _ in range(2)]
    together = [controllers.open(scripted, "count=1", request="r") for _ in range(2)]
    masks = decode(controllers, [*alone, *together], 1)
    assert masks[0] == masks[1] == masks[2]
    assert masks[3] != masks[0]


@pytest.mark.parametrize("wrong", ["text", 5, [1.5], None])
def test_what_are_no_tokens_is_refused_and_said(
    controllers: Controllers, scripted: bytes, wrong: object
) -> None:
    with pytest.raises(TypeError, match="tokens are a sequence of numbers"):
        controllers.open(scripted, prompt=wrong)  # type: ignore[arg-type]
    sequence = controllers.open(scripted)
    with pytest.raises(TypeError, match="tokens are a sequence of numbers"):
        controllers.step({sequence: wrong})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="a step is a dict of sequences"):
        controllers.step([sequence])  # type: ignore[arg-type]
    assert isinstance(controllers.step({sequence: []}).outcomes[sequence], Allowed)
    sequence.close()


def test_a_guest_that_cannot_be_opened_is_quoted(
    controllers: Controllers, build: Callable[..., bytes]
) -> None:
    source = """
#include "onecopy.h"
OC_EXPORT int init_prompt(void) { return oc_grammar_new(OC_LARK, "start: gone", 11) < 0; }
OC_EXPORT int mid_process(void) { return oc_stop(); }
"""
    # There is no sequence whose log could be read.
    with pytest.raises(GuestError, match=r"after logging .*gone"):
        controllers.open(build(source))


def test_a_guest_that_logs_all_that_is_kept_is_heard(
    controllers: Controllers, build: Callable[..., bytes]
) -> None:
    # Bytes that are no text take three times as many in an answer.
    guest = build(
        '#include "onecopy.h"\nstatic char line[1000];\nOC_EXPORT int mid_process(void) {'
        "    for (int i = 0; i < 1000; i++) line[i] = -1;"
        "    for (int i = 0; i < 300; i++) oc_log(1, line, 1000);"
        "    return oc_allow(0); }"
    )
    sequence = controllers.open(guest)
    assert isinstance(controllers.step({sequence: []}).outcomes[sequence], Allowed)
    logs = sequence.logs
    assert len(logs) == 256
    assert set(logs) == {(logging.INFO, "\N{REPLACEMENT CHARACTER}" * 1000)}


def test_a_forked_child_cannot_step_its_parent_s_sequences(tmp_path: Path, scripted: bytes) -> None:
    """It has the same bells and the same board, and would ring for its parent."""
    code = f"""
        import os
        from onecopy import GuestError
        from onecopy.guests import Controllers, Pool, Vocabulary
        from onecopy.guests.decoding.byte_tokenizer import byte_tokenizer
        vocabulary = Vocabulary.from_tokenizer(byte_tokenizer())
        with Pool(guest_ms=5000, step_ms=60_000) as pool:
            controllers = Controllers(None, vocabulary, pool, batch=2)
            sequence = controllers.open({str(tmp_path / "scripted.wasm")!r})
            controllers.begin({{sequence: []}})
            child = os.fork()
            if not child:
                for act in (
                    controllers.finish,
                    lambda: controllers.begin({{}}),
                    lambda: sequence.fork(2),
                    lambda: sequence.rollback(0),
                ):
                    try:
                        act()
                    except GuestError as error:
                        print("forked from" in str(error), flush=True)
                os._exit(0)
            os.waitpid(child, 0)
            (answer,) = controllers.finish().outcomes.values()
            print(answer.constrained)
            controllers.close()
    """
    (tmp_path / "scripted.wasm").write_bytes(scripted)
    assert output_of(code).split() == ["True"] * 5
