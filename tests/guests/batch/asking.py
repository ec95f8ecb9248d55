"""Asking controllers for masks, however often that takes."""

from __future__ import annotations

from onecopy.guests.batch.answers import Allowed, Suspended
from onecopy.guests.batch.controllers import Controllers
from tests.guests.batch.test_controllers import allowed


def mask_after(controllers: Controllers, sequence, tokens) -> list[int]:
    """The mask of a sequence once these tokens were appended."""
    step = controllers.step({sequence: tokens})
    if isinstance(step.outcomes[sequence], Suspended):
        sequence.wait(60)
        step = controllers.step({sequence: []})
    assert isinstance(step.outcomes[sequence], Allowed)
    return allowed(step, sequence)
