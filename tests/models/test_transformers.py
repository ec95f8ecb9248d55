"""Modules of transformers through a segment and back."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from onecopy.errors import UnsupportedValue
from tests.models import checkpoints
from tests.models.test_codec import same_state
from tests.tensors.roundtrip import roundtrip

pytest.importorskip("transformers")


@pytest.fixture(params=checkpoints.MODELS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each family of models."""
    return request.param


def test_a_model_comes_back_and_computes_the_same(kind: str) -> None:
    model = checkpoints.build(kind)
    loaded = roundtrip(model)
    same_state(model, loaded)
    checkpoints.same_outputs(model, loaded, kind)


def test_its_configurations_come_back(kind: str) -> None:
    model = checkpoints.build(kind)
    loaded = roundtrip(model)
    assert loaded.config.to_dict() == model.config.to_dict()
    assert loaded.config._attn_implementation == model.config._attn_implementation
    if model.can_generate():
        assert loaded.generation_config.to_dict() == model.generation_config.to_dict()


def test_all_its_modules_share_one_configuration(kind: str) -> None:
    model = checkpoints.build(kind)
    loaded = roundtrip(model)
    pairs = zip(model.modules(), loaded.modules(), strict=True)
    for mine, its in pairs:
        if getattr(mine, "config", None) is model.config:
            assert its.config is loaded.config


def test_tied_weights_stay_tied() -> None:
    loaded = roundtrip(checkpoints.build("gpt2"))
    assert loaded.lm_head.weight is loaded.transformer.wte.weight
    assert loaded.all_tied_weights_keys


def test_buffers_that_no_checkpoint_has_come_back() -> None:
    model = checkpoints.build("llama")
    loaded = roundtrip(model)
    assert torch.equal(loaded.model.rotary_emb.inv_freq, model.model.rotary_emb.inv_freq)
    assert "model.rotary_emb.inv_freq" not in loaded.state_dict()


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5"])
def test_it_generates_the_same_text(kind: str) -> None:
    model = checkpoints.build(kind)
    loaded = roundtrip(model)
    options: dict[str, Any] = {"max_new_tokens": 5, "do_sample": False, "pad_token_id": 0}
    expected = model.generate(checkpoints.tokens(), **options)
    assert torch.equal(loaded.generate(checkpoints.tokens(), **options), expected)


def test_it_can_be_saved_as_a_checkpoint_again(tmp_path: Any) -> None:
    from transformers import GPT2LMHeadModel

    loaded = roundtrip(checkpoints.build("gpt2"))
    loaded.save_pretrained(tmp_path)
    again = GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    checkpoints.same_outputs(loaded, again, "gpt2")


def test_a_model_that_has_returned_hidden_states_can_be_saved() -> None:
    model = checkpoints.build("bert")
    model(**checkpoints.INPUTS["bert"](), output_hidden_states=True)
    loaded = roundtrip(model)
    result = loaded(**checkpoints.INPUTS["bert"](), output_hidden_states=True)
    assert len(result.hidden_states) == 3


def test_a_model_with_kernels_of_the_hub_is_refused() -> None:
    model = checkpoints.build("bert")
    model._use_kernels = True
    with pytest.raises(UnsupportedValue, match="_use_kernels"):
        roundtrip(model)
