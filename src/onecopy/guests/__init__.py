"""WebAssembly guests that share tensors with the host (docs/guests.md).

from onecopy import guests

guests.source_of(store.ref("x"))                   what a window shows
guests.buffer(40, 128256, store=store)             rows that guests may write to
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.lazy import exports

if TYPE_CHECKING:
    from onecopy.guests.batch.answers import (
        Allowed,
        Chosen,
        Failed,
        Fork,
        Splice,
        Step,
        Stop,
        Suspended,
    )
    from onecopy.guests.batch.controllers import Controllers
    from onecopy.guests.batch.sequence import Sequence
    from onecopy.guests.decoding.vocabulary import Vocabulary
    from onecopy.guests.toolchain import build
    from onecopy.guests.windows.buffers import buffer
    from onecopy.guests.windows.source import Source
    from onecopy.guests.windows.sources import copy_of, part, source_of, sources_of
    from onecopy.guests.workers.handle import Guest
    from onecopy.guests.workers.pool import Pool

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
_HOMES: dict[str, str | None] = {
    "Allowed": "batch.answers",
    "Chosen": "batch.answers",
    "Controllers": "batch.controllers",
    "Failed": "batch.answers",
    "Fork": "batch.answers",
    "Guest": "workers.handle",
    "Pool": "workers.pool",
    "Sequence": "batch.sequence",
    "Source": "windows.source",
    "Splice": "batch.answers",
    "Step": "batch.answers",
    "Stop": "batch.answers",
    "Suspended": "batch.answers",
    "Vocabulary": "decoding.vocabulary",
    "buffer": "windows.buffers",
    "build": "toolchain",
    "copy_of": "windows.sources",
    "part": "windows.sources",
    "source_of": "windows.sources",
    "sources_of": "windows.sources",
}

__getattr__, __dir__ = exports(__name__, _HOMES)
