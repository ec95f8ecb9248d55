"""WASI-NN: guests that nobody here wrote run inference on models of the host (docs/nn.md).

from onecopy import nn

nn.save_tokenizer(store, "llm", tokenizer)         beside a text model of a store
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onecopy.nn.backends.text_tokenizer import save_tokenizer

__all__ = ["save_tokenizer"]

# Where each public name lives; imported when first asked for.
_HOMES = {
    "save_tokenizer": "backends.text_tokenizer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'onecopy.nn' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"onecopy.nn.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
