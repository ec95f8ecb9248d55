"""TorchScript that a guest brought: what it may ask of torch, decided before any of it runs.

TorchScript is a language of its own, without Python's reach, but its operators include some that
open files, and some that trust numbers in their arguments. docs/design/nn.md has the reasons.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from onecopy.errors import InvalidModel
from onecopy.nn.backends import failures
from onecopy.nn.backends.pytorch import pickles

# The one method that runs while a module is loaded, and classes that are written in C++.
_NEVER = (b"__setstate__", b"torch.classes")
# Operators that reach beyond their arguments, or that no inference needs and which take it on
# trust that these fit together.
_REFUSED = {
    "aten": "from_file save set_ set segment_reduce manual_seed wait",
    "prim": "rpc_async rpc_sync rpc_remote PythonOp IgnoredPythonOp fork awaitable CallMethod"
    " CallFunction Closure Print data",
}
_UNUSUAL = re.compile("backward|sparse|quantize|fbgemm|mkldnn|cudnn|miopen")
# How the private operators begin that ordinary models have.
_PRIVATE = (
    *("__", "_convolution", "_get_tracing_state", "_log_softmax", "_pack_padded_sequence"),
    *("_pad_packed_sequence", "_set_item", "_shape_as_tensor", "_softmax", "_unique2"),
    *("_unwrap_optional", "_upsample_", "_weight_norm"),
)


def inspect(path: Path) -> None:
    """Refuse TorchScript of which a part would run, or reach into C++, while it is loaded.

    Raises:
        InvalidModel: there is such a part, or the file is not TorchScript.
    """
    with failures.loading("torch.jit.load"):
        # The very reader that torch.jit.load uses: another might find other files in an archive.
        reader = torch._C.PyTorchFileReader(str(path))
        for name in reader.get_all_records():
            if name.startswith("code/") and name.endswith(".py"):
                _check_code(name, reader.get_record(name))
        for part in ("data", "constants"):
            content = reader.get_record(f"{part}.pkl")
            pickles.check(content, partial(_nbytes, reader, part))


def _nbytes(reader: Any, folder: str, key: str) -> int:
    return len(reader.get_record(f"{folder}/{key}"))


def _check_code(name: str, content: bytes) -> None:
    for word in _NEVER:
        if word in content:
            raise InvalidModel(f"{name} uses {word.decode()}, which a guest's TorchScript may not")


def check_operators(module: Any) -> None:
    """Refuse a loaded module whose `forward` uses operators that guests have no business with.

    Raises:
        InvalidModel: it does; the text names the operator.
    """
    for node in _nodes(module.forward.inlined_graph):
        kind = node.kind()
        if not _is_allowed(kind):
            raise InvalidModel(f"a guest's TorchScript may not use {kind}")


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


def _is_allowed(kind: str) -> bool:
    space, _, name = kind.partition("::")
    if space not in _REFUSED or name in _REFUSED[space].split():
        return False
    if _UNUSUAL.search(name):
        return name.startswith("is_")
    return not name.startswith("_") or name.startswith(_PRIVATE)
