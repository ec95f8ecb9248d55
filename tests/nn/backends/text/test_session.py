from __future__ import annotations

import pytest
import torch

from onecopy import (
    ContextFull,
    EndOfSequence,
    InferenceFailed,
    InvalidArgument,
    PromptTooLong,
    UnsupportedOperation,
)
from tests.nn.backends.text.zoo import CONTEXT, bert, generate, gpt2, llama, text_model, tokenizer

pytest.importorskip("transformers")

PROMPTS = ["the quick", "你好", "Grüße aus Köln, the lazy dog jumps over"]


@pytest.mark.parametrize("make", [gpt2, llama])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_text_is_that_of_generate(make, prompt: str) -> None:
    model = make()
    inputs = tokenizer()(prompt, return_tensors="pt")
    tokens = model.generate(**inputs, max_new_tokens=40, do_sample=False, pad_token_id=0)
    expected = tokenizer().backend_tokenizer.decode(tokens[0].tolist())
    session = text_model(model).session({})
    found = prompt.encode() + generate(session, prompt, n_predict=40)
    assert found.decode(errors="replace") == expected
    assert session.metadata()["output_tokens"] == tokens.shape[1] - inputs["input_ids"].shape[1]


def test_sessions_that_take_turns_do_not_disturb_each_other() -> None:
    model = text_model()
    alone = [generate(model.session({}), prompt, n_predict=20) for prompt in PROMPTS]
    sessions = [model.session({"n-predict": 20}) for _ in PROMPTS]
    for session, prompt in zip(sessions, PROMPTS, strict=True):
        session.begin(prompt.encode(), {})
    pieces = [[each.advance() for each in sessions] for _ in range(20)]
    assert [b"".join(column) for column in zip(*pieces, strict=True)] == alone


def test_sampling_with_a_seed_is_repeatable() -> None:
    session = text_model(llama()).session({"temp": 1.5, "n-predict": 30})
    first = generate(session, "the", seed=11)
    assert generate(session, "the", seed=11) == first
    assert generate(session, "the", seed=12) != first


def test_metadata_knows_the_prompt_before_anything_is_computed() -> None:
    session = text_model().session({})
    assert session.metadata() == {
        "input_tokens": 0,
        "output_tokens": 0,
        "llama_build_number": 0,
        "llama_commit": "",
    }
    session.begin(b"the quick", {})
    assert session.metadata()["input_tokens"] == len(tokenizer()("the quick")["input_ids"])
    session.advance()
    assert session.metadata()["output_tokens"] == 1


def ending(model: torch.nn.Module, token: int) -> torch.nn.Module:
    """A model that is sure of one token."""
    model.lm_head = torch.nn.Linear(32, model.config.vocab_size)
    torch.nn.init.zeros_(model.lm_head.weight)
    torch.nn.init.zeros_(model.lm_head.bias)
    with torch.no_grad():
        model.lm_head.bias[token] = 9.0
    return model


def test_the_models_end_ends_the_text_and_is_counted() -> None:
    session = text_model(ending(gpt2(), 0)).session({})
    session.begin(b"the", {})
    for _ in range(2):
        with pytest.raises(EndOfSequence):
            session.advance()
    assert session.metadata()["output_tokens"] == 1


def test_every_end_that_a_model_knows_ends_the_text() -> None:
    model = ending(gpt2(), 7)
    model.generation_config.eos_token_id = [7, 9]
    session = text_model(model).session({})
    session.begin(b"the", {})
    with pytest.raises(EndOfSequence):
        session.advance()


def test_with_ignore_eos_the_text_goes_on() -> None:
    session = text_model(ending(gpt2(), 0)).session({"ignore-eos": True, "n-predict": 3})
    generate(session, "the")
    assert session.metadata()["output_tokens"] == 3


@pytest.mark.parametrize("limit", [0, 1, 5])
def test_n_predict_ends_the_text(limit: int) -> None:
    session = text_model(ending(gpt2(), 50)).session({})
    session.begin(b"the", {"n-predict": limit})
    for _ in range(limit):
        session.advance()
    with pytest.raises(EndOfSequence, match="n-predict"):
        session.advance()


def test_the_reverse_prompt_ends_the_text_after_it() -> None:
    [token] = tokenizer()("x", add_special_tokens=False)["input_ids"]
    session = text_model(ending(gpt2(), token)).session({})
    assert generate(session, "the", reverse_prompt="xxx") == b"xxx"


def test_a_text_ends_where_the_models_positions_do() -> None:
    session = text_model(ending(llama(), 50)).session({})
    session.begin(b"the", {})
    prompt = session.metadata()["input_tokens"]
    for _ in range(CONTEXT - prompt):
        session.advance()
    with pytest.raises(ContextFull, match=str(CONTEXT)):
        session.advance()


@pytest.mark.parametrize("size", [8, 10_000_000, -5, 0])
def test_a_guest_can_make_the_context_smaller_but_not_larger(size: int) -> None:
    session = text_model(ending(gpt2(), 50), context=12).session({})
    generate(session, "the", ctx_size=size)
    counts = session.metadata()
    assert counts["input_tokens"] + counts["output_tokens"] == (8 if size == 8 else 12)


def test_a_prompt_that_leaves_no_room_is_too_long() -> None:
    session = text_model().session({"ctx-size": 4})
    session.begin(b"the the the", {})
    with pytest.raises(PromptTooLong, match="room for 3"):
        session.begin(b"the the the the", {})
    assert session.metadata()["input_tokens"] == 4
    with pytest.raises(InvalidArgument, match="no prompt"):
        session.advance()


def test_a_huge_prompt_is_refused_without_being_read() -> None:
    with pytest.raises(PromptTooLong, match="characters"):
        text_model().session({}).begin(b"a" * 50_000_000, {})


@pytest.mark.parametrize("prompt", [b"", b"\xff\xfe", b"abc\xe4"])
def test_a_prompt_that_is_no_text_is_refused(prompt: bytes) -> None:
    with pytest.raises(InvalidArgument, match="prompt"):
        text_model().session({}).begin(prompt, {})


def test_options_of_a_wrong_type_are_refused_at_once() -> None:
    with pytest.raises(InvalidArgument, match="temp"):
        text_model().session({"temp": "x"})
    with pytest.raises(InvalidArgument, match="temp"):
        text_model().session({}).begin(b"the", {"temp": []})


def test_a_failure_of_the_model_ends_that_text_alone() -> None:
    model = gpt2()
    session, other = (text_model(model).session({"n-predict": 5}) for _ in range(2))
    other.begin(b"the", {})
    session.begin(b"the", {})
    session.advance()
    forward, model.forward = model.forward, lambda **_: 1 // 0
    for _ in range(2):
        with pytest.raises(InferenceFailed, match="ZeroDivisionError"):
            session.advance()
    model.forward = forward
    other.advance()
    assert generate(session, "the") != b""


def test_weights_that_are_no_numbers_are_a_failure() -> None:
    model = gpt2()
    with torch.no_grad():
        model.transformer.ln_f.weight.fill_(float("nan"))
    session = text_model(model).session({})
    session.begin(b"the", {})
    with pytest.raises(InferenceFailed, match="not finite"):
        session.advance()


def test_close_drops_the_prompt() -> None:
    session = text_model().session({})
    session.begin(b"the", {})
    session.close()
    session.close()
    with pytest.raises(InvalidArgument):
        session.advance()


def test_an_encoder_counts_tokens_but_generates_none() -> None:
    session = text_model(bert()).session({"embedding": True})
    session.begin(b"the", {})
    assert session.metadata()["input_tokens"] > 0
    with pytest.raises(InvalidArgument, match="embedding"):
        session.advance()
    with pytest.raises(UnsupportedOperation, match="BertModel"):
        session.begin(b"the", {"embedding": False})
