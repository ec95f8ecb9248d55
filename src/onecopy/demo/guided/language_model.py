"""A small language model, trained on the spot: it rambles, and keeps to no format."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from onecopy.demo.guided.corpus import corpus
from onecopy.guests.decoding.byte_tokenizer import trained_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from tokenizers import Tokenizer
    from transformers import GPT2LMHeadModel

VOCABULARY: Final = 1024
CONTEXT: Final = 192
END: Final = "<end>"

_WINDOW: Final = 64
_BATCH: Final = 16
_RATE: Final = 3e-3
_WARM_UP: Final = 20


@dataclass
class LanguageModel:
    """A GPT-2 of 750,000 parameters, its tokenizer, and what training it took."""

    model: GPT2LMHeadModel
    tokenizer: Tokenizer
    seconds: float
    loss: float

    @property
    def parameters(self) -> int:
        """How many numbers were trained."""
        return sum(each.numel() for each in self.model.parameters())

    @property
    def end(self) -> int:
        """The token that ends a text."""
        token = self.tokenizer.token_to_id(END)
        assert token is not None
        return int(token)

    def next_logits(self, tokens: list[list[int]]) -> torch.Tensor:
        """Return the logits of the next token of each sequence, `[batch, vocabulary]`.

        All is computed anew at every step: for a model of this size that costs less than it
        would take to explain a cache.
        """
        import torch

        recent = [each[-CONTEXT:] for each in tokens]
        longest = max(map(len, recent))
        padded = torch.zeros(len(recent), longest, dtype=torch.long)
        for row, each in zip(padded, recent, strict=True):
            row[: len(each)] = torch.tensor(each)
        with torch.inference_mode():
            hidden = self.model.transformer(padded).last_hidden_state
            last = torch.tensor([len(each) - 1 for each in recent])
            return self.model.lm_head(hidden[torch.arange(len(recent)), last])


def train(
    steps: int = 180,
    seconds: float = 30,
    seed: int = 0,
    progress: Callable[[float], object] = bool,
) -> LanguageModel:
    """Train a tokenizer and a model on this package's own texts.

    It ends after `steps` of gradient descent, or after `seconds` on a slow machine; `progress` is
    told which part is done, from 0 to 1.
    """
    import torch

    started = time.monotonic()
    torch.manual_seed(seed)
    text = corpus()
    tokenizer = trained_tokenizer(text.splitlines(keepends=True), VOCABULARY, END)
    tokens = torch.tensor(tokenizer.encode(text).ids)
    model = _new_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE)
    loss = torch.tensor(0.0)
    for step in range(steps):
        done = max(step / steps, (time.monotonic() - started) / seconds)
        if done >= 1:
            break
        progress(done)
        _set_rate(optimizer, _RATE * min(1, (step + 1) / _WARM_UP) * max(0.05, 1 - done))
        loss = model(batch := _batch(tokens), labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return LanguageModel(model.eval(), tokenizer, time.monotonic() - started, loss.item())


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _batch(tokens: torch.Tensor) -> torch.Tensor:
    import torch

    starts = torch.randint(len(tokens) - _WINDOW, (_BATCH,))
    return torch.stack([tokens[i : i + _WINDOW] for i in starts.tolist()])


def _new_model() -> GPT2LMHeadModel:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=CONTEXT,
            n_embd=128,
            n_layer=3,
            n_head=4,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
            loss_type="ForCausalLM",
        )
    )
