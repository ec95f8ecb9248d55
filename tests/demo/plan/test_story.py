"""The demo of planned runs: its plot, with a few shapes."""

from __future__ import annotations

import torch

from onecopy.demo.plan.story import Story, shapes
from onecopy.demo.plan.subject import Subject
from tests.demo.plan.models import small


def test_every_claim_of_the_demo_holds() -> None:
    """Of its own models, `onecopy demo plan` itself says so: it fails where one does not hold."""
    said: list[str] = []
    (outcome,) = Story((small(),), 3, said.append).play()
    assert [each.claim for each in outcome.checks if not each.held] == []
    assert len(outcome.checks) == len(said) == 4
    tokens = [each.tokens for each in outcome.contexts]
    assert tokens == sorted(tokens)
    assert all(planned.allocations == 1 for planned in outcome.planned)
    assert [each.peak for each in outcome.contexts] == [None] * 3
    assert outcome.certified is not None
    assert (outcome.certified.budget, outcome.certified.peak is not None) == (32 << 10, True)
    assert outcome.certified.tokens <= outcome.contexts[-1].tokens


class Grown(torch.nn.Module):
    """Gives another result each time, so that a planned run and an eager one differ."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("runs", torch.zeros(1))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        self.runs += 1
        return tokens[..., None] + self.runs


def test_outputs_that_differ_are_a_check_that_fails() -> None:
    subject = Subject("grown", Grown(), (torch.ones(2, 6),), 3, 24, 512, ("32KiB",))
    (outcome,) = Story((subject,), 3, lambda _: None).play()
    failed = [each for each in outcome.checks if not each.held]
    assert [each.trouble for each in failed] == ["3 are not"]


def test_the_shapes_are_within_bounds_and_the_same_each_time() -> None:
    subject = Subject("", torch.nn.Identity(), (), 4, 9, 20, ())
    drawn = shapes(subject, 40)
    assert drawn == shapes(subject, 40)
    assert drawn[0] == (4, 9)
    assert all(1 <= batch <= 4 and 1 <= length <= 9 for batch, length in drawn)
