"""Operators of torch that consist of others, called with sizes that vary.

An export runs some of them in a form that is written in Python. What they allocate when they run
in earnest is decided by the one in C++, which is hence the one to follow; but there are a few whose
C++ takes plain numbers only: it refuses sizes that vary, or takes those of the example for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch._dispatch.python import enable_python_dispatcher

# Their form in Python has the same operators within it.
_ONLY_IN_PYTHON = ("lstm.", "stft.", "istft.")


def called(operator: Any, args: Sequence[Any], kwargs: Mapping[str, Any], expected: Any) -> Any:
    """Call an operator, whose result at the export was `expected`."""
    name = getattr(operator, "__name__", "")
    if name.endswith(".vec") and "upsample" in name:
        return _resized(operator, args, expected.shape)
    if name.startswith(_ONLY_IN_PYTHON):
        with enable_python_dispatcher():
            return operator(*args, **kwargs)
    return operator(*args, **kwargs)


def _resized(operator: Any, args: Sequence[Any], shape: Sequence[Any]) -> Any:
    """Call what an `upsample_….vec` consists of; in Python it would be a dozen operators."""
    image, _, *how, factors = args
    sizes = list(shape[2:])
    return operator.overloadpacket.default(image, sizes, *how, *(factors or [None] * len(sizes)))


def lost_sizes(result: Any, expected: Any) -> bool:
    """Say whether a size that varied at the export has become a number."""
    from torch.utils import _pytree

    pairs = zip(_pytree.tree_leaves(result), _pytree.tree_leaves(expected), strict=False)
    return any(
        _varies(size) and not _varies(found)
        for own, exported in pairs
        if isinstance(own, torch.Tensor) and isinstance(exported, torch.Tensor)
        for found, size in zip(own.shape, exported.shape, strict=False)
    )


def _varies(size: Any) -> bool:
    return isinstance(size, torch.SymInt) and bool(size.node.expr.free_symbols)
