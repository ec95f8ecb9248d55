"""How much a run of an agent may use, and what is kept of it."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from onecopy.agents.manifest.quantities import Duration, Size, plain
from onecopy.agents.manifest.wrong import Wrong

Meta = msgspec.Meta
_SMALLEST: Final = 1 << 20
_MOST: Final = 4 << 30


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[limits]`: of each run, but for the last three."""

    memory: Size = Size(64 << 20)
    """Bytes of its linear memories together."""
    seconds: Duration = Duration(300)
    """From start to end, its waits included."""
    cpu_seconds: Duration = Duration(10)
    """That the guest computes."""
    calls: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    """Of the host."""
    log: Size = Size(256 << 10)
    """Bytes of what it logs; what is over is left out."""
    attempts: Annotated[int, Meta(ge=1, le=100)] = 5
    """Of an event, before it is dead."""
    concurrent: Annotated[int, Meta(ge=1, le=10_000)] = 50
    """Runs at once."""
    event: Size = Size(1 << 20)
    """Bytes of a payload."""

    def __post_init__(self) -> None:
        plain(self)
        if not _SMALLEST <= self.memory <= _MOST:
            raise Wrong("memory", 'a guest has from "1MiB" to "4GiB"')


class Records(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[records]`: what is kept of each run."""

    keep: Duration = Duration(30 * 86400)
    """Seconds after which a record is deleted."""

    def __post_init__(self) -> None:
        plain(self)
