"""Logits that guests see: put into their rows before a step, and taken from there after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.guests.batch.adapters.bitmask import apply_bitmask
from onecopy.guests.batch.answers import Allowed

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from onecopy.guests.batch.answers import Answer
    from onecopy.guests.batch.sequence import Sequence


class SeenLogits:
    """The rows of `Controllers(logits=…)`, which belong to sequences by their `row`."""

    def __init__(self, rows: torch.Tensor) -> None:
        self._rows = rows

    def show(self, sequence: Sequence, logits: torch.Tensor) -> None:
        """Let a guest see the logits `[vocab]` of what follows its text, before it is called.

        One that is late is at work on those that it has seen: they stay as they are.
        """
        if sequence.asked:
            return
        row = self._rows[sequence.row]
        width = min(len(row), len(logits))
        row[:width] = logits[:width].detach()
        row[width:] = float("-inf")

    def taken(
        self, answers: Mapping[Sequence, Answer], logits: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return logits `[n, vocab]` as the guests of n sequences left them, masks applied.

        The model's own, where no guest has answered, and where one has left a row that cannot be
        sampled from: a NaN, or nothing to choose, would stop the sampling of all rows.
        """
        import torch

        kept = apply_bitmask(logits.clone(), mask)
        left = logits.clone()
        rows = self._rows[[each.row for each in answers]]
        width = min(rows.shape[1], left.shape[1])
        left[:, :width] = rows[:, :width].to(left)
        left = apply_bitmask(left, mask)
        top = left.max(dim=1).values  # of a row with a NaN, that is NaN
        seen = [isinstance(each, Allowed) and each.constrained for each in answers.values()]
        usable = top.isfinite() & torch.tensor(seen, device=top.device)
        return torch.where(usable.unsqueeze(1), left, kept)
