"""What a record says of a run."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from onecopy.agents.calls import Call, Reply
from onecopy.agents.event import Event
from onecopy.agents.outcome import Outcome

RUNNING: Final = "running"
CALL: Final = "call"
LOG: Final = "log"
STEP: Final = "step"
USAGE: Final = "usage"


class Summary(msgspec.Struct, frozen=True):
    """A run in a list; times are seconds since 1970."""

    id: str
    event: str
    agent: str
    trigger: str
    kind: str
    subject: str
    attempt: int
    started: float
    ended: float | None
    status: str
    """`running`, or that of its outcome."""
    calls: int
    input_tokens: int
    output_tokens: int
    usd: float


class Item(msgspec.Struct, frozen=True):
    """One thing that happened in a run."""

    seq: int
    """From 1, without gaps but for what could not be written."""
    sort: str
    """`call`, `log`, `step` or `usage`."""
    at: float
    """When it began, in seconds since 1970."""
    seconds: float
    name: str
    """Of a call or step; the level of a line of the log; the model of a usage."""
    error: str
    """The code with which a call was refused, or empty."""
    size: int
    """Bytes of its JSON text."""
    value: Any = None
    """The line of a log, or the tokens and USD of a usage."""


class Tail(msgspec.Struct, frozen=True):
    """What is new of a run."""

    items: list[Item]
    status: str
    started: float = 0.0
    """When the run began, in seconds since 1970."""


class Called(msgspec.Struct, frozen=True):
    """A call of the guest, and what it was answered."""

    call: Call
    reply: Reply
    started: float
    seconds: float


class Step(msgspec.Struct, frozen=True):
    """A named part of a run: until the next begins, or the run ends."""

    name: str
    at: float
    seconds: float


class Run(msgspec.Struct, frozen=True):
    """All of a run: with its component, what a replay needs."""

    summary: Summary
    event: Event
    component: str
    """The digest of what ran."""
    seed: bytes
    time_ns: int
    """What the guest's clock showed at first; each reply has what it showed from then on."""
    calls: list[Called]
    items: list[Item]
    outcome: Outcome | None
    """None while it runs."""
    inexact: str
    """Why a replay may differ, or empty: something was too large, redacted or not written."""

    @property
    def log(self) -> list[Item]:
        """The lines of its log."""
        return [item for item in self.items if item.sort == LOG]

    @property
    def steps(self) -> list[Step]:
        """Its timeline."""
        items = [item for item in self.items if item.sort == STEP]
        last = self.summary.ended or max((i.at + i.seconds for i in self.items), default=0.0)
        ends = [*(item.at for item in items[1:]), last][: len(items)]
        return [
            Step(item.name, item.at, max(0.0, end - item.at))
            for item, end in zip(items, ends, strict=True)
        ]


class Totals(msgspec.Struct, frozen=True):
    """What an agent's runs came to on a day: runs when they end, calls and costs at once."""

    day: int
    """Since 1970, UTC."""
    agent: str
    runs: int = 0
    failed: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
