"""Controllers in decoding loops: a plain one, and transformers' generate."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onecopy import InvalidArgument, UnsupportedValue, guests
from onecopy.guests.batch.adapters import ControllerLogits, apply_bitmask, decode
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.pool import Pool

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

SCRIPTED = Path(__file__).parents[1] / "modules" / "scripted.c"
SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "n": {"enum": [17, 232, 3]}},
    "required": ["ok", "n"],
    "additionalProperties": False,
    "x-guidance": {"whitespace_flexible": False},
}
# A schema, but without the digit 2; its configuration begins with how many tokens to splice in.
GUIDE = """
#include "onecopy.h"
static uint32_t mask[OC_MASK_WORDS(131072)], forced[64];
static int grammar;
static char config[4096];
OC_EXPORT int init_prompt(void) {
    size_t length = oc_config(config, sizeof config);
    grammar = oc_grammar_new(OC_JSON_SCHEMA, config + 1, length - 1);
    return grammar < 0;
}
OC_EXPORT int mid_process(void) {
    if (oc_grammar_step(grammar, mask) != OC_OK) return oc_stop();
    int count = config[0] == 's' ? oc_grammar_forced(grammar, forced, 64) : 0;
    if (count > 0) return oc_splice(0, forced, count);
    for (uint32_t i = 0; i < oc_control()->vocab; i++) {
        uint32_t length;
        const char *text = oc_token(i, &length);
        for (uint32_t k = 0; k < length; k++)
            if (text[k] == '2') oc_mask_forbid(mask, i);
    }
    return oc_allow(mask);
}
"""
PLAIN, SPLICING = "p" + json.dumps(SCHEMA), "s" + json.dumps(SCHEMA)


@pytest.fixture(scope="module")
def controllers(vocabulary: Vocabulary) -> Iterator[Controllers]:
    """A batch of eight, in two workers with time."""
    with (
        Pool(workers=2, guest_ms=5000, step_ms=60_000) as pool,
        Controllers(None, vocabulary, pool, batch=8, biases=True) as controllers,
    ):
        yield controllers


@pytest.fixture(scope="module")
def guide(build: Callable[..., bytes]) -> bytes:
    """A schema with a veto."""
    return build(GUIDE)


@pytest.fixture(scope="module")
def model(vocabulary: Vocabulary):
    """A small model that has learned nothing."""
    torch.manual_seed(0)
    size = vocabulary.size
    config = transformers.GPT2Config(
        vocab_size=size,
        n_positions=256,
        n_embd=16,
        n_layer=1,
        n_head=2,
        bos_token_id=vocabulary.eos,
        eos_token_id=vocabulary.eos,
    )
    return transformers.GPT2LMHeadModel(config).eval()


def checked(tokens: list[int], vocabulary: Vocabulary) -> dict:
    """Parse what was decoded; it keeps to the schema and to the veto."""
    text = b"".join(vocabulary.token(token) for token in tokens).decode()
    value = json.loads(text)
    assert isinstance(value["ok"], bool)
    assert value["n"] in (17, 3)
    return value


def next_logits(model) -> Callable[[list[list[int]]], torch.Tensor]:
    """The logits of what follows each text."""

    def logits(texts: list[list[int]]) -> torch.Tensor:
        with torch.inference_mode():
            return torch.stack([model(torch.tensor([each])).logits[0, -1] for each in texts])

    return logits


@pytest.mark.parametrize("config", [PLAIN, SPLICING])
def test_decode_keeps_to_the_schema_and_to_the_veto(
    controllers: Controllers, vocabulary: Vocabulary, guide: bytes, model, config: str
) -> None:
    sequences = [controllers.open(guide, config, [5, 6 + i]) for i in range(3)]
    found = decode(controllers, sequences, next_logits(model), max_tokens=80)
    assert list(found) == sequences
    for sequence, tokens in found.items():
        checked(tokens, vocabulary)
        sequence.close()


def test_decode_follows_branches_and_ends_texts_that_grow_too_long(
    controllers: Controllers, build: Callable[..., bytes], model
) -> None:
    sequence = controllers.open(build(SCRIPTED), "fork=3 branches=2", [1])
    failing = controllers.open(build(SCRIPTED), "trap=4", [1])
    found = decode(controllers, [sequence, failing], next_logits(model), max_tokens=6)
    assert len(found) == 3
    assert all(len(tokens) <= 6 for tokens in found.values())
    assert failing.error is not None
    for each in found:
        each.close()


@pytest.mark.parametrize("config", [PLAIN, SPLICING])
@pytest.mark.parametrize("beams", [1, 3])
def test_generate_keeps_to_the_schema(
    controllers: Controllers,
    vocabulary: Vocabulary,
    guide: bytes,
    model,
    config: str,
    beams: int,
) -> None:
    prompts = torch.tensor([[0, 0, 5, 6], [7, 8, 9, 10]])
    with ControllerLogits(controllers, guide, [config, config], pad=0) as processor:
        with torch.inference_mode():
            found = model.generate(
                prompts,
                attention_mask=(prompts != 0).long(),
                pad_token_id=vocabulary.eos,
                num_beams=beams,
                do_sample=False,
                max_new_tokens=80,
                logits_processor=transformers.LogitsProcessorList([processor]),
            )
        assert [each.sequence.history.prompt for each in processor._texts[:1]] == [(5, 6)]
    for row in found.tolist():
        checked([token for token in row[4:] if token != vocabulary.eos], vocabulary)
    step = controllers.step({})
    assert (step.mask_array[:, 0] == 0xFFFFFFFF).all()


def test_generate_refuses_guests_that_take_tokens_back(
    controllers: Controllers, vocabulary: Vocabulary, build: Callable[..., bytes], model
) -> None:
    guide = ControllerLogits(controllers, build(SCRIPTED), "splice=2 back=1")
    with guide, pytest.raises(UnsupportedValue, match="decode"):
        scores = torch.zeros(1, vocabulary.size)
        scores = guide(torch.tensor([[5]]), scores)
        guide(torch.tensor([[5, int(scores.argmax())]]), scores)


def test_a_model_may_have_more_logits_than_there_are_tokens_but_not_fewer(
    controllers: Controllers, vocabulary: Vocabulary, guide: bytes
) -> None:
    def logits(texts: list[list[int]], more: int) -> torch.Tensor:
        return torch.randn(len(texts), vocabulary.size + more)

    with controllers.open(guide, PLAIN) as sequence:
        (tokens,) = decode(
            controllers, [sequence], lambda texts: logits(texts, 64), max_tokens=80
        ).values()
        checked(tokens, vocabulary)
    with controllers.open(guide, PLAIN) as sequence, pytest.raises(InvalidArgument, match="logits"):
        decode(controllers, [sequence], lambda texts: logits(texts, -1), max_tokens=80)
    with (
        ControllerLogits(controllers, guide, PLAIN) as guided,
        pytest.raises(InvalidArgument, match="logits"),
    ):
        guided(torch.tensor([[5, 6]]), logits([[5, 6]], -1))


def test_texts_and_configurations_must_match(
    controllers: Controllers, vocabulary: Vocabulary, guide: bytes
) -> None:
    processor = ControllerLogits(controllers, guide, [PLAIN, PLAIN])
    with processor, pytest.raises(InvalidArgument, match="2 configurations for 3"):
        processor(torch.zeros(3, 4, dtype=torch.long), torch.zeros(3, vocabulary.size))


# Sees its row: forbids a token for itself, and wants another one. Its configuration says how: by
# its logits, by choosing, or with a NaN.
SEEING = """
#include "onecopy.h"
static char how[2];
OC_EXPORT int init_prompt(void) { oc_config(how, sizeof how); return 0; }
OC_EXPORT int mid_process(void) {
    float *logits = oc_data(oc_need_window("logits"));
    uint32_t best = 0, second = 0, size = oc_vocab_size();
    for (uint32_t i = 1; i < size; i++) if (logits[i] > logits[best]) best = i;
    for (uint32_t i = 1; i < size; i++)
        if (i != best && (second == best || logits[i] > logits[second])) second = i;
    if (how[0] == 'c') return oc_choose(second);
    logits[best] = how[0] == 'n' ? __builtin_nanf("") : -__builtin_inff();
    return oc_allow(0);
}
"""


def planned(texts: list[list[int]], size: int) -> torch.Tensor:
    """Logits whose best token is the length of the text, and the second 100 more."""
    logits = torch.zeros(len(texts), size)
    for row, text in zip(logits, texts, strict=True):
        row[len(text)], row[100 + len(text)] = 5, 4
    return logits


@pytest.fixture
def seeing(
    vocabulary: Vocabulary, store, build: Callable[..., bytes]
) -> Iterator[tuple[Controllers, bytes]]:
    """Controllers whose guests see logits, and such a guest."""
    logits = guests.buffer(4, vocabulary.size, store=store)
    with (
        Pool(workers=1, guest_ms=5000, step_ms=60_000) as pool,
        Controllers(store, vocabulary, pool, batch=4, logits=logits) as controllers,
    ):
        yield controllers, build(SEEING)


def test_decode_goes_on_with_what_guests_leave_in_their_rows(
    seeing: tuple[Controllers, bytes], vocabulary: Vocabulary
) -> None:
    controllers, guest = seeing
    sequences = [controllers.open(guest, how, [9]) for how in ("l", "c", "n")]

    def model(texts: list[list[int]]) -> torch.Tensor:
        return planned(texts, vocabulary.size + 3)

    found = decode(controllers, sequences, model, max_tokens=3)
    assert list(found.values()) == [[101, 102, 103], [101, 102, 103], [1, 2, 3]]


@pytest.mark.parametrize(("how", "offset"), [("l", 100), ("c", 100), ("n", 0)])
def test_generate_goes_on_with_what_guests_leave_in_their_rows(
    seeing: tuple[Controllers, bytes], vocabulary: Vocabulary, how: str, offset: int
) -> None:
    controllers, guest = seeing
    text = [9, 8]
    with ControllerLogits(controllers, guest, how) as processor:
        for i in range(2, 5):
            scores = processor(torch.tensor([text]), planned([text], vocabulary.size))
            assert scores.argmax() == i + offset
            assert bool(scores.isfinite().any())
            text.append(int(scores.argmax()))


def test_a_bitmask_forbids_what_it_does_not_allow() -> None:
    mask = torch.tensor([[0b101, 1], [-1, 0]], dtype=torch.int32)
    logits = apply_bitmask(torch.zeros(2, 70), mask)
    assert logits[0].isfinite().nonzero().flatten().tolist() == [0, 2, 32]
    assert logits[1].isfinite().nonzero().flatten().tolist() == list(range(32))
    assert apply_bitmask(torch.zeros(1, 8), mask[:1]).shape == (1, 8)


def test_a_mask_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="int32"):
        apply_bitmask(torch.zeros(1, 4), torch.tensor([[0b0101]]))
