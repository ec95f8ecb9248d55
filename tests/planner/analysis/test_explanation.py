from __future__ import annotations

from xml.etree import ElementTree

import torch
from torch.export import Dim

from onecopy.planner import plan


class Perceptron(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = torch.nn.Linear(8, 64)
        self.down = torch.nn.Linear(64, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(self.up(x).relu())


def test_it_says_what_lives_at_the_peak_by_module_and_operator() -> None:
    made = plan(Perceptron(), (torch.ones(2, 8),), dynamic_shapes={"x": {0: Dim("rows", max=100)}})
    explained = made.explain(rows=50)
    assert explained.nbytes == made.nbytes(rows=50)
    assert [(each.buffer.path, each.nbytes) for each in explained.live] == [
        ("up", 12800),
        ("", 12800),
    ]
    text = str(explained)
    assert "rows = 50" in text
    assert "up: aten.addmm.default" in text
    assert "256*rows" in text


def test_the_drawing_is_an_svg_that_names_the_buffers() -> None:
    made = plan(Perceptron(), (torch.ones(2, 8),))
    drawing = made.explain().svg()
    assert ElementTree.fromstring(drawing).tag.endswith("svg")
    assert "aten.relu.default" in drawing


def test_a_module_that_needs_nothing_has_an_explanation_too() -> None:
    made = plan(torch.nn.Identity(), (torch.ones(2),))
    assert made.explain().nbytes == 8
    ElementTree.fromstring(made.explain().svg())


def test_what_has_no_bound_is_named_and_not_left_out_in_silence() -> None:
    sizes = {0: Dim("rows", max=9), 1: Dim("long")}

    class Pair(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sin()

    made = plan(Pair(), (torch.ones(3, 4),), dynamic_shapes={"x": sizes}, dynamic="long")
    assert str(made.explain()).endswith(
        "outside of the plan: 2 buffers, whose size depends on long"
    )
    assert "outside" not in str(made.explain(long=5))
