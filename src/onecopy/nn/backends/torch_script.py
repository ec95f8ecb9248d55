"""TorchScript that a guest brought: what it may ask of torch, decided before any of it runs.

TorchScript is a language of its own, without Python's reach, but its operators include some that
open files, and some that trust numbers in their arguments. docs/design/nn.md has the reasons.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from onecopy.errors import InvalidModel

# The one method that runs while a module is loaded.
_SETSTATE = b"__setstate__"
# Classes that are written in C++, with constructors of their own; a pickle parts names by lines.
_CLASSES = re.compile(rb"torch[.\n]classes")

# Operators that reach beyond their arguments, or take it on trust that these fit together.
_REFUSED = {
    "aten": "from_file save set_ set segment_reduce manual_seed wait sparse_coo_tensor"
    " sparse_compressed_tensor sparse_csr_tensor sparse_csc_tensor sparse_bsr_tensor"
    " sparse_bsc_tensor",
    "prim": "rpc_async rpc_sync rpc_remote PythonOp IgnoredPythonOp fork awaitable CallMethod"
    " CallFunction Closure Print data",
}
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
    try:
        # The very reader that torch.jit.load uses: another might find other files in an archive.
        reader = torch._C.PyTorchFileReader(str(path))
        for name in reader.get_all_records():
            if name.endswith((".py", ".pkl")):
                _inspect(name, reader.get_record(name))
    except RuntimeError as error:
        raise InvalidModel(f"{path} is no archive of torch: {error}") from error


def _inspect(name: str, content: bytes) -> None:
    if _CLASSES.search(content):
        raise InvalidModel(f"{name} uses torch.classes, which a guest's TorchScript may not")
    if name.endswith(".py") and _SETSTATE in content:
        raise InvalidModel(f"{name} has a __setstate__, which a guest's TorchScript may not")


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
    return not name.startswith("_") or name.startswith(_PRIVATE)
