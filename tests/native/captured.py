"""Ways to make tensors: what `with store.storage():` captures, and what it cannot.

Each makes a tensor, or a module, from nothing or from inputs that were made outside.
docs/storage.md names those that are not captured, and why.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  # its usual name

if TYPE_CHECKING:
    from collections.abc import Callable

X = torch.randn(8, 16)
Y = torch.randn(16, 8)
SQUARE = torch.randn(16, 16)
POSITIVE = SQUARE @ SQUARE.T + 16 * torch.eye(16)
IMAGE = torch.randn(2, 3, 16, 16)
SIGNAL = torch.randn(2, 3, 32)
INDEX = torch.tensor([3, 1, 2])
TOKENS = torch.randint(0, 50, (2, 7))
SEQUENCE = torch.randn(2, 7, 16)
ARRAY = np.arange(100.0)


def _saved(value: Any) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return file


def _legacy(value: Any) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=False)
    file.seek(0)
    return file


_SAVED, _LEGACY, _PICKLED = _saved(X), _legacy(X), pickle.dumps(X)


def _loaded(file: io.BytesIO) -> Any:
    file.seek(0)
    return torch.load(file)


def _gradients() -> list[torch.Tensor]:
    model = nn.Linear(16, 4)
    model(X).sum().backward()
    return [each.grad for each in model.parameters() if each.grad is not None]


def _optimizer(kind: Callable[..., torch.optim.Optimizer]) -> list[torch.Tensor]:
    model = nn.Linear(16, 4)
    optimizer = kind(model.parameters(), lr=0.1)
    model(X).sum().backward()
    optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values()]
    return [each for each in states if isinstance(each, torch.Tensor)]


def _resized() -> torch.Tensor:
    return torch.empty(0).resize_(1000)


def _state_dict_into() -> nn.Module:
    source = nn.Linear(16, 4)
    target = nn.Linear(16, 4)
    target.load_state_dict(source.state_dict())
    return target


def _to_empty() -> nn.Module:
    with torch.device("meta"):
        module = nn.Linear(16, 4)
    return module.to_empty(device="cpu")


def _deep_copy() -> nn.Module:
    import copy

    return copy.deepcopy(nn.Linear(16, 4))


CAPTURED: dict[str, Callable[[], Any]] = {
    # factories
    "empty": lambda: torch.empty(10),
    "zeros": lambda: torch.zeros(10),
    "ones": lambda: torch.ones(10),
    "full": lambda: torch.full((10,), 2.0),
    "arange": lambda: torch.arange(10),
    "linspace": lambda: torch.linspace(0, 1, 10),
    "logspace": lambda: torch.logspace(0, 1, 10),
    "eye": lambda: torch.eye(5),
    "rand": lambda: torch.rand(10),
    "randn": lambda: torch.randn(10),
    "randint": lambda: torch.randint(0, 9, (10,)),
    "randperm": lambda: torch.randperm(10),
    "empty_strided": lambda: torch.empty_strided((3, 4), (1, 3)),
    "zeros_like": lambda: torch.zeros_like(X),
    "rand_like": lambda: torch.rand_like(X),
    "new_zeros": lambda: X.new_zeros(10),
    "tensor of a list": lambda: torch.tensor([1.0, 2.0]),
    "tensor of an array": lambda: torch.tensor(ARRAY),
    "scalar tensor": lambda: torch.tensor(3.0),
    "complex": lambda: torch.complex(X, X),
    "tril_indices": lambda: torch.tril_indices(4, 4),
    "hann_window": lambda: torch.hann_window(16),
    "bfloat16": lambda: torch.zeros(10, dtype=torch.bfloat16),
    "bool": lambda: torch.zeros(10, dtype=torch.bool),
    "float8": lambda: torch.zeros(10).to(torch.float8_e4m3fn),
    # copies
    "clone": lambda: X.clone(),
    "contiguous": lambda: X.t().contiguous(),
    "to dtype": lambda: X.to(torch.float64),
    "half": lambda: X.half(),
    "deepcopy of a module": _deep_copy,
    "resize_": _resized,
    "cat": lambda: torch.cat([X, X]),
    "stack": lambda: torch.stack([X, X]),
    "repeat": lambda: X.repeat(2, 2),
    "tile": lambda: torch.tile(X, (2,)),
    "roll": lambda: X.roll(1),
    "flip": lambda: X.flip(0),
    "pad": lambda: F.pad(X, (1, 1)),
    "tril": lambda: SQUARE.tril(),
    # pointwise
    "add": lambda: X + 1,
    "mul": lambda: X * X,
    "div": lambda: X / 2,
    "exp": lambda: X.exp(),
    "sigmoid": lambda: X.sigmoid(),
    "where": lambda: torch.where(X > 0, X, -X),
    "clamp": lambda: X.clamp(0, 1),
    "lerp": lambda: torch.lerp(X, X + 1, 0.5),
    "relu": lambda: F.relu(X),
    "gelu": lambda: F.gelu(X),
    "silu": lambda: F.silu(X),
    "softmax": lambda: X.softmax(-1),
    "log_softmax": lambda: X.log_softmax(-1),
    "dropout": lambda: F.dropout(X, 0.5),
    "bernoulli": lambda: torch.bernoulli(X.sigmoid()),
    # reductions
    "sum": lambda: X.sum(0),
    "mean": lambda: X.mean(1),
    "max": lambda: list(X.max(0)),
    "cumsum": lambda: X.cumsum(0),
    "sort": lambda: list(X.sort()),
    "topk": lambda: list(X.topk(3)),
    "argmax": lambda: X.argmax(0),
    "histc": lambda: torch.histc(X, 10),
    "unique": lambda: torch.unique(TOKENS),
    "nonzero": lambda: torch.nonzero(X),
    "multinomial": lambda: X.softmax(-1).multinomial(2),
    # indexing
    "index_select": lambda: X.index_select(0, INDEX),
    "gather": lambda: X.gather(0, TOKENS[:, :7] % 8),
    "advanced indexing": lambda: X[INDEX],
    "masked_select": lambda: X.masked_select(X > -9),
    "scatter": lambda: X.scatter(0, TOKENS % 8, 1.0),
    "take_along_dim": lambda: X.take_along_dim(X.argsort(0), 0),
    "embedding": lambda: F.embedding(TOKENS, torch.randn(50, 4)),
    "one_hot": lambda: F.one_hot(TOKENS, 50),
    # linear algebra
    "matmul": lambda: X @ Y,
    "mm": lambda: torch.mm(X, Y),
    "bmm": lambda: torch.bmm(SEQUENCE, SEQUENCE.transpose(1, 2)),
    "einsum": lambda: torch.einsum("ij,jk->ik", X, Y),
    "linear": lambda: F.linear(X, SQUARE),
    "outer": lambda: torch.outer(X[0], X[1]),
    "linalg.inv": lambda: torch.linalg.inv(POSITIVE),
    "linalg.solve": lambda: torch.linalg.solve(POSITIVE, Y),
    "linalg.qr": lambda: list(torch.linalg.qr(SQUARE)),
    "linalg.svd": lambda: list(torch.linalg.svd(SQUARE)),
    "linalg.eigh": lambda: list(torch.linalg.eigh(POSITIVE)),
    "linalg.cholesky": lambda: torch.linalg.cholesky(POSITIVE),
    "cdist": lambda: torch.cdist(X, X),
    "fft": lambda: torch.fft.fft(X),
    "rfft": lambda: torch.fft.rfft(X),
    "stft": lambda: torch.stft(SIGNAL[0], 16, window=torch.ones(16), return_complex=True),
    # network functions
    "conv1d": lambda: F.conv1d(SIGNAL, torch.randn(4, 3, 3)),
    "conv2d": lambda: F.conv2d(IMAGE, torch.randn(4, 3, 3, 3)),
    "conv_transpose2d": lambda: F.conv_transpose2d(IMAGE, torch.randn(3, 4, 3, 3)),
    "max_pool2d": lambda: F.max_pool2d(IMAGE, 2),
    "avg_pool2d": lambda: F.avg_pool2d(IMAGE, 2),
    "interpolate": lambda: F.interpolate(IMAGE, scale_factor=2),
    "grid_sample": lambda: F.grid_sample(IMAGE, torch.zeros(2, 4, 4, 2), align_corners=False),
    "batch_norm": lambda: F.batch_norm(IMAGE, torch.zeros(3), torch.ones(3), training=True),
    "layer_norm": lambda: F.layer_norm(X, (16,)),
    "group_norm": lambda: F.group_norm(IMAGE, 3),
    "attention": lambda: F.scaled_dot_product_attention(SEQUENCE, SEQUENCE, SEQUENCE),
    "cross_entropy": lambda: F.cross_entropy(X, INDEX.repeat(3)[:8]),
    # autograd and optimizers
    "gradients": _gradients,
    "SGD with momentum": lambda: _optimizer(lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9)),
    "Adam": lambda: _optimizer(torch.optim.Adam),
    "AdamW": lambda: _optimizer(torch.optim.AdamW),
    "vmap": lambda: torch.vmap(lambda row: row * 2)(X),
    "functional gradient": lambda: torch.func.grad(lambda x: (x * x).sum())(X),
    # modules
    "Linear": lambda: nn.Linear(16, 4),
    "Embedding": lambda: nn.Embedding(50, 4),
    "Conv2d": lambda: nn.Conv2d(3, 4, 3),
    "BatchNorm2d": lambda: nn.BatchNorm2d(3),
    "LayerNorm": lambda: nn.LayerNorm(16),
    "LSTM": lambda: nn.LSTM(16, 8),
    "GRU": lambda: nn.GRU(16, 8),
    "MultiheadAttention": lambda: nn.MultiheadAttention(16, 4),
    "TransformerEncoder": lambda: nn.TransformerEncoder(
        nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2, enable_nested_tensor=False
    ),
    "output of an LSTM": lambda: nn.LSTM(16, 8, batch_first=True)(SEQUENCE)[0],
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(16, 4)),
    "to_empty": _to_empty,
    "load_state_dict": _state_dict_into,
    # files
    "torch.load": lambda: _loaded(_SAVED),
}


def not_captured(folder: Any) -> dict[str, Callable[[], Any]]:
    """Return what allocates its memory otherwise, or has it already: saving it copies."""
    from safetensors import torch as safe

    plain, zipped = folder / "x.safetensors", folder / "x.pt"
    safe.save_file({"x": X}, plain)
    torch.save(X, zipped)

    def assigned() -> nn.Module:
        with torch.device("meta"):
            module = nn.Linear(16, 8, bias=False)
        module.load_state_dict({"weight": X}, assign=True)
        return module

    return {
        "from_numpy": lambda: torch.from_numpy(ARRAY),
        "as_tensor of an array": lambda: torch.as_tensor(ARRAY),
        "frombuffer": lambda: torch.frombuffer(bytearray(64), dtype=torch.float32),
        "from_dlpack": lambda: torch.from_dlpack(ARRAY),
        "UntypedStorage.from_file": lambda: torch.from_file(str(zipped), size=8, dtype=torch.uint8),
        "share_memory_": lambda: torch.ones(10).share_memory_(),
        "torch.load with mmap": lambda: torch.load(zipped, mmap=True),
        "torch.load of a file in the old format": lambda: _loaded(_LEGACY),
        "pickle.loads": lambda: pickle.loads(_PICKLED),
        "safetensors load_file": lambda: safe.load_file(plain)["x"],
        "load_state_dict with assign": assigned,
        "views of what lies outside": lambda: X[2:5],
        "in-place results on what lies outside": lambda: X.mul_(1.0),
    }
