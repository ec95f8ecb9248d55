"""WebAssembly guests that share tensors with the host (docs/guests.md).

from onecopy import guests

guests.source_of(store.ref("x"))                   what a window shows
guests.buffer(40, 128256, store=store)             rows that guests may write to
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onecopy.guests.answers import (
        Allowed,
        Chosen,
        Failed,
        Fork,
        Splice,
        Step,
        Stop,
        Suspended,
    )
    from onecopy.guests.buffers import buffer
    from onecopy.guests.controllers import Controllers
    from onecopy.guests.handle import Guest
    from onecopy.guests.pool import Pool
    from onecopy.guests.sequence import Sequence
    from onecopy.guests.source import Source
    from onecopy.guests.sources import copy_of, part, source_of, sources_of
    from onecopy.guests.toolchain import build
    from onecopy.guests.vocabulary import Vocabulary

__all__ = [
    "Allowed",
    "Chosen",
    "Controllers",
    "Failed",
    "Fork",
    "Guest",
    "Pool",
    "Sequence",
    "Source",
    "Splice",
    "Step",
    "Stop",
    "Suspended",
    "Vocabulary",
    "buffer",
    "build",
    "copy_of",
    "part",
    "source_of",
    "sources_of",
]

# Where each public name lives; imported when first asked for.
_HOMES = {
    "Allowed": "answers",
    "Chosen": "answers",
    "Controllers": "controllers",
    "Failed": "answers",
    "Fork": "answers",
    "Guest": "handle",
    "Pool": "pool",
    "Sequence": "sequence",
    "Source": "source",
    "Splice": "answers",
    "Step": "answers",
    "Stop": "answers",
    "Suspended": "answers",
    "Vocabulary": "vocabulary",
    "buffer": "buffers",
    "build": "toolchain",
    "copy_of": "sources",
    "part": "sources",
    "source_of": "sources",
    "sources_of": "sources",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'onecopy.guests' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"onecopy.guests.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
