"""Small models with random weights, and tokenizers trained on the spot."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from onecopy.guests.decoding.byte_tokenizer import trained_tokenizer
from onecopy.nn.backends.text.model import TransformersModel

TEXTS = ["the quick brown fox jumps over the lazy dog", "Grüße aus Köln, 你好, 😀!"] * 40
CONTEXT = 96


@functools.cache
def tokenizer(size: int = 320) -> Any:
    """Byte-level BPE; number 0 ends a text."""
    from transformers import PreTrainedTokenizerFast

    trained = trained_tokenizer(TEXTS, size)
    return PreTrainedTokenizerFast(tokenizer_object=trained, eos_token="<|endoftext|>")


def gpt2(size: int = 320, seed: int = 0) -> Any:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=size, n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=2,
        bos_token_id=0, eos_token_id=0, initializer_range=0.5,
    )  # fmt: skip
    return GPT2LMHeadModel(config).eval()


def llama(size: int = 320, seed: int = 0) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=size, max_position_embeddings=CONTEXT, hidden_size=32, intermediate_size=64,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        bos_token_id=None, eos_token_id=0, pad_token_id=0, initializer_range=0.5,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def text_model(model: Any = None, /, **options: Any) -> TransformersModel:
    """A model with the tokenizer from here; `temp` is 0 unless the options say otherwise."""
    return TransformersModel(model or gpt2(), tokenizer(), {"temp": 0.0}, **options)


def checkpoint(folder: Path, model: Any = None) -> Path:
    """A folder as `save_pretrained` writes it."""
    (model or gpt2()).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def generate(session: Any, prompt: bytes | str, **options: Any) -> bytes:
    """All that a session generates until it says why it ends."""
    from onecopy.errors import ContextFull, EndOfSequence

    text = prompt.encode() if isinstance(prompt, str) else prompt
    session.begin(text, {name.replace("_", "-"): value for name, value in options.items()})
    pieces = []
    while True:
        try:
            pieces.append(session.advance())
        except (EndOfSequence, ContextFull):
            return b"".join(pieces)


def bert() -> Any:
    """An encoder."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=320, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=CONTEXT,
    )  # fmt: skip
    return BertModel(config).eval()
