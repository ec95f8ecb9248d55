"""Modules for the tests: torch's own, by name, and some that a program has to allow."""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional


def tied() -> nn.Module:
    net = nn.ModuleDict({"embedding": nn.Embedding(7, 4), "head": nn.Linear(4, 7, bias=False)})
    net["head"].weight = net["embedding"].weight
    return net


def shared() -> nn.Module:
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.ReLU(), layer)


def with_buffers() -> nn.Module:
    net = nn.Linear(2, 2)
    net.register_buffer("kept", torch.arange(3.0))
    net.register_buffer("computed", torch.arange(5), persistent=False)
    net.register_buffer("absent", None)
    return net


def frozen() -> nn.Module:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[0].requires_grad_(False)
    return net.eval()


def views_of_one_storage() -> nn.Module:
    base = torch.arange(12.0)
    return nn.ParameterList([nn.Parameter(base[:8]), nn.Parameter(base[4:])])


# How to make each, and what to call it with.
TORCH: dict[str, tuple[Callable[[], nn.Module], tuple[Any, ...]]] = {
    "linear": (lambda: nn.Linear(4, 3), (torch.randn(2, 4),)),
    "no bias": (lambda: nn.Linear(4, 3, bias=False), (torch.randn(2, 4),)),
    "bf16": (lambda: nn.Linear(4, 3, dtype=torch.bfloat16), (torch.ones(2, 4).bfloat16(),)),
    "half": (lambda: nn.Linear(4, 3).half(), (torch.ones(2, 4).half(),)),
    "conv": (lambda: nn.Conv2d(3, 4, 3, padding="same"), (torch.randn(1, 3, 8, 8),)),
    "transposed": (lambda: nn.ConvTranspose2d(3, 4, 3), (torch.randn(1, 3, 8, 8),)),
    "channels last": (
        lambda: nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last),
        (torch.randn(1, 3, 8, 8),),
    ),
    "batch norm": (lambda: nn.BatchNorm2d(3).eval(), (torch.randn(2, 3, 4, 4),)),
    "group norm": (lambda: nn.GroupNorm(2, 4), (torch.randn(2, 4, 4),)),
    "embedding": (lambda: nn.Embedding(9, 4, padding_idx=0), (torch.arange(5),)),
    "lstm": (lambda: nn.LSTM(4, 5, 2, bidirectional=True), (torch.randn(3, 2, 4),)),
    "gru": (lambda: nn.GRU(4, 5), (torch.randn(3, 2, 4),)),
    "attention": (lambda: nn.MultiheadAttention(4, 2), (torch.randn(3, 2, 4),) * 3),
    "transformer": (
        lambda: nn.Transformer(8, 2, 1, 1, 16, activation="gelu", batch_first=True).eval(),
        (torch.randn(1, 3, 8), torch.randn(1, 2, 8)),
    ),
    "sequential": (
        lambda: nn.Sequential(OrderedDict(a=nn.Linear(4, 4), b=nn.GELU(approximate="tanh"))),
        (torch.randn(2, 4),),
    ),
    "frozen": (frozen, (torch.randn(2, 3),)),
    "shared": (shared, (torch.randn(2, 4),)),
    "buffers": (with_buffers, (torch.randn(2, 2),)),
    "prelu": (lambda: nn.PReLU(3), (torch.randn(2, 3),)),
    "max pool": (lambda: nn.MaxPool2d(2), (torch.randn(1, 1, 4, 4),)),
    "upsample": (lambda: nn.Upsample(scale_factor=2.0), (torch.randn(1, 1, 4, 4),)),
    "loss": (lambda: nn.CrossEntropyLoss(torch.ones(3)), (torch.randn(2, 3), torch.tensor([0, 2]))),
    "adaptive softmax": (
        lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 20, [5, 10], div_value=1.0),
        (torch.randn(4, 8), torch.arange(4)),
    ),
    "distance": (
        lambda: nn.TripletMarginWithDistanceLoss(distance_function=functional.pairwise_distance),
        (torch.randn(2, 3),) * 3,
    ),
}

CONTAINERS: dict[str, Callable[[], nn.Module]] = {
    "module list": lambda: nn.ModuleList([nn.Linear(2, 2), nn.Dropout(0.2)]),
    "module dict": lambda: nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Identity()}),
    "parameter list": lambda: nn.ParameterList([torch.ones(2), torch.zeros(3)]),
    "parameter dict": lambda: nn.ParameterDict({"x": torch.ones(2), "y": torch.zeros(3)}),
    "views": views_of_one_storage,
    "tied": tied,
    "empty": lambda: nn.ParameterList([torch.empty(0, 3)]),
}


class Norm(enum.Enum):
    """How a block normalises."""

    LAYER = "layer"
    NONE = "none"


@dataclass
class BlockConfig:
    """What a block is made from."""

    width: int
    norm: Norm
    rates: dict[str, float]


class Block(nn.Module):
    """A residual block, as hand-made models have them."""

    scale = 1.0

    def __init__(self, config: BlockConfig) -> None:
        super().__init__()
        self.config = config
        self.proj = nn.Linear(config.width, config.width)
        self.act = functional.gelu
        self.scale = 0.5
        self.names = {"a", "b"}
        self.frozen = frozenset({1, 2})
        self.window = (slice(None, 3), None, torch.float16, torch.device("cpu"), torch.Size([1, 2]))
        self.big = 2**80
        self.by_step = {1: [self.proj], (2, 3): "pair"}
        self.table = np.arange(4)
        self.mask = torch.tensor([True, False])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.scale * self.act(self.proj(x))


class Net(nn.Module):
    """Blocks that share a configuration, and one that knows its parent."""

    def __init__(self) -> None:
        super().__init__()
        config = BlockConfig(4, Norm.LAYER, {"drop": 0.1})
        self.blocks = nn.ModuleList([Block(config), Block(config)])
        self.owner = [self]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class WithLambda(nn.Module):
    """Something that cannot be rebuilt."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.act = lambda x: x


ALLOWED = [Net, Block, BlockConfig, Norm, WithLambda]
