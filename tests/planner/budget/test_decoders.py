from __future__ import annotations

import pytest
import torch
import transformers

from onecopy.errors import UnsupportedValue
from onecopy.planner.budget import probe
from onecopy.planner.budget.decoders import Decoder, of_config, of_folder

SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 300}
CONFIGS = {
    "llama": transformers.LlamaConfig(
        **SIZES, intermediate_size=96, num_key_value_heads=2, tie_word_embeddings=True
    ),
    "gpt2": transformers.GPT2Config(n_embd=64, n_layer=2, n_head=4, vocab_size=300, n_positions=99),
}
every_model = pytest.mark.parametrize("kind", CONFIGS)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@every_model
def test_a_step_with_a_cache_gives_what_the_model_gives(kind: str) -> None:
    torch.manual_seed(0)
    decoder = of_config(CONFIGS[kind], device="cpu")
    ids = torch.randint(300, (2, 7))
    (_, _, keys, values), _ = decoder.inputs_at(b=2, c=7, s=12)
    with torch.no_grad():
        first = decoder.module(ids[:, :4], torch.arange(4), keys, values)
        last = decoder.module(ids[:, 4:], torch.arange(4, 7), keys, values)
        expected = decoder.module.model(ids, use_cache=False).logits
    assert torch.allclose(first[:, -1], expected[:, 3], atol=1e-5)
    assert torch.allclose(last[:, -1], expected[:, 6], atol=1e-5)


@every_model
def test_its_formula_is_close_to_what_a_run_needs(kind: str) -> None:
    real, meta = (of_config(CONFIGS[kind], device=device) for device in ("cpu", "meta"))
    plan = meta.plan()
    assert set(plan.dims) == {"b", "c", "s"}
    weights = sum(each.nbytes for each in [*real.module.parameters(), *real.module.buffers()])
    assert abs(plan.weights_nbytes - weights) <= 0.01 * weights
    values = {"b": 2, "c": 32, "s": 64}
    found = probe.measure(real, values, 1 << 30)
    measured = found["weights"] + found["inputs"] + found["allocated"]
    assert 0.9 * measured <= plan.nbytes(**values) <= 1.1 * measured


def test_a_folder_with_weights_is_run_with_them(tmp_path) -> None:
    model = transformers.AutoModelForCausalLM.from_config(CONFIGS["llama"])
    model.save_pretrained(tmp_path)
    loaded = of_folder(tmp_path, weights=True)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.module.model.state_dict()[name], value), name
    assert of_folder(tmp_path, weights=False).module.model.device.type == "meta"


def test_what_is_no_decoder_is_refused() -> None:
    with pytest.raises(UnsupportedValue, match="causal language model"):
        of_config(transformers.ViTConfig())


def test_an_encoder_that_transformers_takes_for_a_decoder_is_refused() -> None:
    config = transformers.BertConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        vocab_size=300,
    )  # fmt: skip
    with pytest.raises(UnsupportedValue, match="BertLMHeadModel is an encoder"):
        of_config(config)


def test_more_tokens_than_slots_are_no_error() -> None:
    decoder: Decoder = of_config(CONFIGS["llama"], device="cpu")
    args, kwargs = decoder.inputs_at(b=1, c=9, s=4)
    with torch.no_grad():
        assert decoder.module(*args, **kwargs).shape == (1, 1, 300)
