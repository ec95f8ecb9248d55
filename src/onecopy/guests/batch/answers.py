"""What a step says of each sequence, for the host to act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import torch

    from onecopy.errors import OnecopyError
    from onecopy.guests.batch.masks import Masks
    from onecopy.guests.batch.sequence import Sequence

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


class Step:
    """What one step gave; the tensors are good until the next `begin`.

    Rows of sequences that were not in the step are as they were; rows without a sequence allow
    everything. No row is ever without an allowed token.
    """

    __slots__ = ("_masks", "late", "outcomes", "seconds")

    def __init__(
        self,
        masks: Masks,
        outcomes: dict[Sequence, Answer],
        late: tuple[Sequence, ...],
        seconds: float,
    ) -> None:
        self._masks = masks
        self.outcomes = outcomes
        """By sequence."""
        self.late = late
        """Those whose worker had no time for them, or is being replaced."""
        self.seconds = seconds
        """From the signal to the workers until the last answer was here."""

    @property
    def mask(self) -> torch.Tensor:
        """int32 `[batch, ceil(vocab / 32)]`.

        Token i may come if bit i % 32 of word i // 32 is set.
        """
        return self._masks.tensor()

    @property
    def mask_array(self) -> np.ndarray[Any, Any]:
        """The same as a numpy array of uint32."""
        return self._masks.array

    @property
    def biases(self) -> torch.Tensor | None:
        """f32 `[batch, vocab]` to add to logits, -inf where the mask forbids; None unless asked."""
        return self._masks.biases()


def samples(answer: Answer) -> bool:
    """Return whether the host is to sample a token from a sequence's row."""
    return isinstance(answer, Allowed) or (isinstance(answer, Failed) and answer.then == "free")
