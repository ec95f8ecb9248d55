"""Which attributes a skeleton may give to an object: data, and nothing that code looks up.

An instance's attribute goes before one of its class. A skeleton that could set `forward`,
`_forward_hooks` or `__class__` would choose what runs.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any, Final

import torch

FRESH: Final[dict[str, Any]] = dict(vars(torch.nn.Module()))
"""What every module has: its weights, its children, and its hooks."""

# transformers fetches code for a model that says this of itself.
_FORBIDDEN: Final = frozenset({"_use_kernels", *FRESH})


@lru_cache(maxsize=4096)
def settable(kind: type, name: str) -> str | None:
    """Return `name`, interned, if instances of `kind` may get it as an attribute, else None."""
    if name.startswith("__") or name in _FORBIDDEN:
        return None
    if issubclass(kind, torch.nn.Module) and hasattr(torch.nn.Module, name):
        return None
    for base in kind.__mro__:
        if name in vars(base) and _is_code(vars(base)[name]):
            return None
    return sys.intern(name)


def _is_code(inherited: Any) -> bool:
    """Say whether a class's attribute is a method, a property or the like, and not a default."""
    return callable(inherited) or hasattr(type(inherited), "__get__")
