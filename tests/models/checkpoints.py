"""Small models of transformers with random weights, and inputs for them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 99}
WIDE = {"intermediate_size": 64}
TEXT = {"d_model": 32, "vocab_size": 99}
STACKS = {
    f"{stack}_{key}": value
    for stack in ("encoder", "decoder")
    for key, value in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 64))
}
SPEECH = TEXT | STACKS | {"max_source_positions": 50, "max_target_positions": 50}
ENDS = {"bos_token_id": 1, "eos_token_id": 2}
START = {"pad_token_id": 0, "decoder_start_token_id": 0}

# Class of the configuration, its options, class of the model.
MODELS: dict[str, tuple[str, dict[str, Any], str]] = {
    "gpt2": (
        "GPT2Config",
        {"n_embd": 32, "n_layer": 2, "n_head": 2, "vocab_size": 99, **ENDS},
        "GPT2LMHeadModel",
    ),
    "llama": ("LlamaConfig", {**SMALL, **WIDE, "num_key_value_heads": 1}, "LlamaForCausalLM"),
    "t5": (
        "T5Config",
        TEXT | START | {"d_ff": 64, "num_layers": 2, "num_heads": 2, "d_kv": 16},
        "T5ForConditionalGeneration",
    ),
    "bert": ("BertConfig", {**SMALL, **WIDE}, "BertModel"),
    "vit": (
        "ViTConfig",
        {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "image_size": 16,
            "patch_size": 8,
        },
        "ViTForImageClassification",
    ),
    "whisper": ("WhisperConfig", SPEECH | START | ENDS, "WhisperForConditionalGeneration"),
}


def build(kind: str) -> Any:
    """Return a model, in eval mode."""
    transformers = importlib.import_module("transformers")
    config, options, model = MODELS[kind]
    torch.manual_seed(0)
    return getattr(transformers, model)(getattr(transformers, config)(**options)).eval()


def tokens() -> torch.Tensor:
    return torch.arange(3, 11)[None]


INPUTS: dict[str, Callable[[], dict[str, torch.Tensor]]] = {
    "gpt2": lambda: {"input_ids": tokens()},
    "llama": lambda: {"input_ids": tokens()},
    "t5": lambda: {"input_ids": tokens(), "decoder_input_ids": tokens()},
    "bert": lambda: {"input_ids": tokens()},
    "vit": lambda: {"pixel_values": torch.ones(1, 3, 16, 16)},
    "whisper": lambda: {"input_features": torch.ones(1, 80, 100), "decoder_input_ids": tokens()},
}


def outputs(model: Any, kind: str, **options: Any) -> list[torch.Tensor]:
    """Return all tensors that a model computes."""
    with torch.inference_mode():
        result = model(**INPUTS[kind](), **options)
    return [value for value in result.values() if isinstance(value, torch.Tensor)]


def same_outputs(one: Any, other: Any, kind: str) -> None:
    """Compare bit for bit."""
    pairs = list(zip(outputs(one, kind), outputs(other, kind), strict=True))
    assert pairs
    assert all(torch.equal(mine, its) for mine, its in pairs)
