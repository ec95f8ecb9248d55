"""Random small modules: views, products, concatenations, and operators that write in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st
from torch.export import Dim

Step = tuple[str, int, int]

WIDTH = 4


def _cut(x: Any, y: Any) -> Any:
    return torch.cat([x, y], 1)[:, : x.shape[1]]


def _fill_first(x: Any, y: Any) -> Any:
    x[:, :1] = y[:, -1:]
    return x


# Every one takes two tensors of shape [b, n, WIDTH] and returns one.
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "multiply": lambda x, y: x * y,
    "sine": lambda x, y: x.sin(),
    "clone": lambda x, y: x.clone(),
    "product": lambda x, y: x @ x.new_ones(WIDTH, WIDTH),
    "attention": lambda x, y: (x @ y.transpose(1, 2)).softmax(-1) @ y,
    "linear": lambda x, y: torch.nn.functional.linear(x, x.new_ones(WIDTH, WIDTH), x.new_ones(4)),
    "norm": lambda x, y: torch.nn.functional.layer_norm(x, (WIDTH,)),
    "cat": _cut,
    "cat copied": lambda x, y: _cut(x, y).contiguous(),
    "turned twice": lambda x, y: x.transpose(1, 2).transpose(1, 2),
    "turned copy": lambda x, y: x.transpose(1, 2).contiguous().transpose(1, 2),
    "flattened": lambda x, y: x.reshape(-1, WIDTH).sin().reshape(x.shape),
    "turned and reshaped": lambda x, y: x.transpose(0, 1).reshape(-1, WIDTH).view(x.shape),
    "maybe cast": lambda x, y: x.to(torch.float32),
    "cast": lambda x, y: x.double().cos().float(),
    "half of a split": lambda x, y: torch.cat(x.split([1, WIDTH - 1], 2)[::-1], 2),
    "largest": lambda x, y: x.topk(WIDTH, -1)[0],
    "choice": lambda x, y: torch.where(x > y, x, y),
    "sum": lambda x, y: x + y.sum((0, 1)),
    "expanded": lambda x, y: x + y[:1].expand_as(x),
    "add in place": lambda x, y: x.add_(y),
    "relu in place": lambda x, y: x.relu_(),
    "scale a view in place": lambda x, y: x.transpose(1, 2).mul_(0.5).transpose(1, 2),
    "fill a slice": _fill_first,
    "fill a copy": lambda x, y: torch.zeros_like(x).copy_(y),
}


class Program(torch.nn.Module):
    """Applies operators one after the other; `returned` says which results it returns."""

    def __init__(self, steps: list[Step], returned: list[int]) -> None:
        super().__init__()
        self.steps = steps
        self.returned = returned
        self.weight = torch.nn.Parameter(torch.ones(WIDTH, WIDTH) / WIDTH)
        self.register_buffer("seen", torch.zeros(WIDTH))

    def forward(self, x: Any, y: Any) -> Any:
        values = [x, y, x @ self.weight]
        for name, first, second in self.steps:
            values.append(
                OPERATORS[name](values[first % len(values)], values[second % len(values)])
            )
        self.seen += values[-1].sum((0, 1))
        return [values[at % len(values)] for at in self.returned]


steps = st.tuples(st.sampled_from(sorted(OPERATORS)), st.integers(0, 9), st.integers(0, 9))


def programs() -> st.SearchStrategy[Program]:
    """Return a strategy for modules of one to eight operators."""
    return st.builds(
        Program,
        st.lists(steps, min_size=1, max_size=8),
        st.lists(st.integers(0, 12), min_size=1, max_size=3),
    )


def example(b: int = 2, n: int = 5) -> tuple[Any, Any]:
    """Return inputs of a program."""
    generator = torch.Generator().manual_seed(b * 100 + n)
    return tuple(torch.rand(b, n, WIDTH, generator=generator) for _ in range(2))  # type: ignore[return-value]


def bounds() -> dict[str, Any]:
    """Return the dynamic shapes of a program: 2 ≤ b ≤ 6 and 2 ≤ n ≤ 40."""
    b, n = Dim("b", min=2, max=6), Dim("n", min=2, max=40)
    return {"x": {0: b, 1: n}, "y": {0: b, 1: n}}
