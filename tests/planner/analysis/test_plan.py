from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.export import Dim

from onecopy.errors import CorruptEntry, InvalidArgument, InvalidBounds
from onecopy.planner import Plan, plan


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


def test_numbers_that_are_no_sizes_are_refused(made: Any) -> None:
    for call in (made.nbytes, made.sizes, made.inputs_at):
        with pytest.raises(InvalidArgument, match=r"n is a whole number, not 2\.5"):
            call(n=2.5)
    with pytest.raises(InvalidBounds, match="n = -3, but a size is never negative"):
        made.inputs_at(n=-3)
    assert made.inputs_at(n=3000)[0][0].shape == (4, 3000, 8)  # Above the bounds is allowed.


def test_numbers_of_numpy_are_sizes(made: Any) -> None:
    np = pytest.importorskip("numpy")
    assert made.nbytes(b=np.int64(2)) == made.nbytes(b=2)


class TestWithoutItsModule:
    @pytest.fixture
    def loaded(self, made: Any, tmp_path: Path) -> Plan:
        made.save(tmp_path / "p.plan")
        return Plan.load(tmp_path / "p.plan")

    def test_it_shows_whose_plan_it_is(self, loaded: Plan, made: Any) -> None:
        assert repr(loaded) == repr(made)
        assert loaded.bytes == made.bytes

    def test_saved_again_it_is_the_same(self, loaded: Plan, tmp_path: Path) -> None:
        loaded.save(tmp_path / "again.plan")
        assert (tmp_path / "again.plan").read_bytes() == (tmp_path / "p.plan").read_bytes()


def test_it_is_loaded_with_a_module_and_with_nothing_else(made: Any, tmp_path: Path) -> None:
    made.save(tmp_path / "p.plan")
    with pytest.raises(InvalidArgument, match=r"nn\.Module, not with int"):
        Plan.load(tmp_path / "p.plan", 5)


def test_a_file_that_is_no_plan_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.plan").write_text("id,lower,upper,size\n")
    with pytest.raises(CorruptEntry, match=r"p\.plan: this is no file of Plan\.save"):
        Plan.load(tmp_path / "p.plan")


def test_a_module_without_weights_cannot_be_run() -> None:
    with torch.device("meta"):
        module = Perceptron()
    with pytest.raises(InvalidArgument, match="meta device"):
        plan(module, (torch.ones(3, 8, device="meta"),)).bind()


def test_dimensions_without_a_bound_are_shown_without_one() -> None:
    made = plan(
        Perceptron(), (torch.ones(3, 8),), dynamic_shapes={"x": {0: Dim("n")}}, dynamic=["n"]
    )
    assert repr(made).endswith("0 ≤ n)")
