"""What a step says of each sequence, for the host to act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from onecopy.errors import OnecopyError
    from onecopy.guests.sequence import Sequence

OnFailure = Literal["stop", "suspend", "free"]


class Allowed(NamedTuple):
    """Sample the next token; the sequence's row says which may come."""

    constrained: bool = True
    """False if the guest did not answer in time, and its `on_failure` is "free"."""


class Splice(NamedTuple):
    """Take back the last `backtrack` tokens, then append `tokens`; sample nothing.

    `Sequence.tokens` has been edited already, and the guest is told with the next step, which
    appends nothing on its own account: `step({sequence: []})`.
    """

    backtrack: int
    tokens: tuple[int, ...]


class Fork(NamedTuple):
    """Go on as these sequences, the first of them the one that was; step each with no tokens."""

    sequences: tuple[Sequence, ...]


class Stop(NamedTuple):
    """The guest says that the text is complete; its row allows the end alone."""


class Chosen(NamedTuple):
    """The guest chose the next token itself: append it with the next step."""

    token: int


class Failed(NamedTuple):
    """The guest failed and is not called again; what now is up to `then`.

    "stop": the row allows the end alone. "suspend": do not sample. "free": the row allows all.
    """

    error: OnecopyError
    then: OnFailure


class Suspended(NamedTuple):
    """No answer in this step: do not sample, step it again with no tokens; `reason` says why."""

    reason: str


Answer = Allowed | Splice | Fork | Stop | Chosen | Failed | Suspended

ALLOWED: Final = Allowed()
FREE: Final = Allowed(constrained=False)
STOP: Final = Stop()
