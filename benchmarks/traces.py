"""Lifetimes of models' tensors: recorded ones, and made-up ones that are shaped like those."""

from __future__ import annotations

import random

from onecopy.planner import Buffer, Problem

_OPERATORS = (1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 0.5, 0.5, 1.0, 1.0, 4.0, 4.0, 2.0, 1.0, 1.0)
"""Sizes of what the operators of a layer make, in hidden states."""


def recorded(count: int) -> Problem:
    """All allocations of a training step of a small Llama: about as many, by its depth."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from onecopy.planner import record

    torch.manual_seed(0)
    layers = max(count // 122, 1)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=1000,
            hidden_size=128,
            intermediate_size=344,
            num_hidden_layers=layers,
            num_attention_heads=4,
        )
    )

    def step(tokens: torch.Tensor) -> torch.Tensor:
        loss = model(tokens, labels=tokens).loss
        loss.backward()
        model.zero_grad(set_to_none=True)
        return loss.detach()

    return record(step, torch.randint(0, 1000, (2, 64))).problem(alignment=64)


def inference(count: int) -> Problem:
    """A forward pass: most tensors die soon, a residual lives through its layer."""
    dice = random.Random(1)
    made: list[tuple[int, int, int]] = []
    while len(made) < count:
        begin, hidden = len(made), 64 * dice.randrange(900, 1100)
        for index, factor in enumerate(_OPERATORS):
            start = begin + index
            life = len(_OPERATORS) if index in (0, 9) else dice.randint(1, 4)
            made.append((int(factor * hidden), start, start + 1 + life))
    return _problem(made[:count])


def training(count: int) -> Problem:
    """A forward pass whose tensors are kept for the backward pass, which frees them in reverse."""
    dice = random.Random(2)
    kept = count // 2
    made: list[tuple[int, int, int]] = []
    for index in range(kept):
        factor = _OPERATORS[index % len(_OPERATORS)]
        size = int(factor * 64 * dice.randrange(900, 1100))
        until = 2 * kept - index if dice.random() < 0.7 else index + dice.randint(1, 4)
        made.append((size, index, until + 1))
        made.append((int(size * dice.choice((0.5, 1, 2))), kept + index, kept + index + 3))
    return _problem(made)


def _problem(made: list[tuple[int, int, int]]) -> Problem:
    return Problem(
        Buffer(f"t{number}", size, start, end, alignment=64)
        for number, (size, start, end) in enumerate(made)
    )
