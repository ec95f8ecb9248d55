from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.export import Dim

from onecopy.errors import InvalidArgument, InvalidBounds
from onecopy.planner import plan


class Perceptron(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = torch.nn.Linear(8, 64)
        self.down = torch.nn.Linear(64, 8)

    def forward(self, x: Any) -> Any:
        return self.down(self.up(x).relu())


@pytest.fixture(scope="module")
def made() -> Any:
    b, n = Dim("b", min=1, max=4), Dim("n", max=100)
    return plan(Perceptron(), (torch.ones(2, 3, 8),), dynamic_shapes={"x": {0: b, 1: n}})


@settings(max_examples=30, deadline=None)
@given(b=st.integers(1, 4), n=st.integers(0, 100))
def test_bytes_are_what_stands_and_the_lower_bound_of_the_problem(
    made: Any, b: int, n: int
) -> None:
    standing = made.weights_nbytes + 32 * b * n
    problem = made.problem(alignment=1, b=b, n=n)
    assert made.nbytes(b=b, n=n) == standing + problem.lower_bound
    assert made.explain(b=b, n=n).nbytes == made.nbytes(b=b, n=n)


def test_dimensions_that_are_not_given_are_at_their_bounds(made: Any) -> None:
    assert made.nbytes() == made.nbytes(b=4, n=100)
    assert made.problem(b=4).buffers == made.problem(b=4, n=100).buffers


def test_values_outside_of_the_bounds_are_refused(made: Any) -> None:
    for call in (made.nbytes, made.problem, made.explain):
        with pytest.raises(InvalidBounds, match=r"b = 5 .* \[1, 4\]"):
            call(b=5)
        with pytest.raises(InvalidArgument, match=r"typo.*b, n"):
            call(typo=5)


def test_results_are_left_out_of_the_problem_on_request(made: Any) -> None:
    inner = made.problem(outputs=False)
    assert {each.name for each in made.problem().buffers} - {e.name for e in inner.buffers} == {
        each.name for each in made.outputs
    }


def test_what_lives_throughout_is_listed_by_kind(made: Any) -> None:
    assert {each.name for each in made.weights} == {
        "up.weight",
        "up.bias",
        "down.weight",
        "down.bias",
    }
    assert [each.name for each in made.inputs] == ["x"]
    assert made.state == made.unplanned == ()


def test_it_shows_its_dimensions(made: Any) -> None:
    assert "Perceptron" in repr(made)
    assert "1 ≤ b ≤ 4" in repr(made)
