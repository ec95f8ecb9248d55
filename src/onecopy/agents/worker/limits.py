"""How much one run of an agent may take."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from onecopy.agents.worker.memories import share

GIVEN_NBYTES: Final = 16 << 20
"""Of an event, and of an answer of the host."""
SAID_NBYTES: Final = 4 << 20
"""Of a call's arguments, and of what `handle` returns: a server reads those of all its agents."""
TEXT_LIMIT: Final = 4000
"""Characters of the text that says why a run failed."""
LOG_LINE_NBYTES: Final = 32
"""What a line of the log counts beside its text."""


class HasLimits(Protocol):
    """Whatever has the attributes of `Limits`, such as those of a manifest."""

    @property
    def memory(self) -> int: ...  # noqa: D102

    @property
    def seconds(self) -> float: ...  # noqa: D102

    @property
    def cpu_seconds(self) -> float: ...  # noqa: D102

    @property
    def calls(self) -> int: ...  # noqa: D102

    @property
    def log(self) -> int: ...  # noqa: D102

    @property
    def concurrent(self) -> int: ...  # noqa: D102


class Limits(msgspec.Struct, frozen=True):
    """The `[limits]` of a manifest, as far as they concern a run; the text of an error names them.

    `memory` bounds the component's linear memories together, by way of `memories` and `each`.
    """

    memory: int = 64 << 20
    seconds: float = 300.0
    """From its start to its end, waits included."""
    cpu_seconds: float = 10.0
    """Of a processor, without its waits."""
    calls: int = 1000
    """Of the host, without the log's."""
    log: int = 256 << 10
    concurrent: int = 50
    """Runs at once; others wait for their turn."""
    memories: int = 4
    """Linear memories that there may be; see memories.py."""
    each: int | None = None
    """Bytes of each of them; `memory` if not given."""

    def shared(self, wasm: bytes) -> Limits:
        """Return the limits for a component."""
        memories, each = share(wasm, self.memory)
        return msgspec.structs.replace(self, memories=memories, each=each)

    @staticmethod
    def of(limits: HasLimits) -> Limits:
        """Return the limits of a run, without what only others look at."""
        return Limits(
            limits.memory,
            limits.seconds,
            limits.cpu_seconds,
            limits.calls,
            limits.log,
            limits.concurrent,
        )
