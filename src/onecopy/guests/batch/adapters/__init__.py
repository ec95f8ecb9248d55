"""Controllers in decoding loops: a plain one (`decode`), and transformers' `generate`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onecopy.guests.batch.adapters.bitmask import apply_bitmask
    from onecopy.guests.batch.adapters.generation import ControllerLogits
    from onecopy.guests.batch.adapters.loop import decode, greedy

__all__ = ["ControllerLogits", "apply_bitmask", "decode", "greedy"]

_HOMES = {
    "ControllerLogits": "generation",
    "apply_bitmask": "bitmask",
    "decode": "loop",
    "greedy": "loop",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'onecopy.guests.batch.adapters' has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
