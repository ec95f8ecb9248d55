"""Controllers in decoding loops: a plain one (`decode`), and transformers' `generate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.lazy import exports

if TYPE_CHECKING:
    from onecopy.guests.batch.adapters.bitmask import apply_bitmask
    from onecopy.guests.batch.adapters.generation import ControllerLogits
    from onecopy.guests.batch.adapters.loop import decode, greedy

__all__ = ["ControllerLogits", "apply_bitmask", "decode", "greedy"]

_HOMES: dict[str, str | None] = {
    "ControllerLogits": "generation",
    "apply_bitmask": "bitmask",
    "decode": "loop",
    "greedy": "loop",
}

__getattr__, __dir__ = exports(__name__, _HOMES)
