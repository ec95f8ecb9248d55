from __future__ import annotations

from onecopy.planner import SymbolicBuffer
from onecopy.planner.analysis.dims import symbol_of


def test_it_is_planned_if_its_size_has_a_bound() -> None:
    size = 4 * symbol_of("n")
    assert not SymbolicBuffer("a", size, 0, 3, "output").planned
    assert SymbolicBuffer("a", size, 0, 3, "output", upper=0).planned


def test_people_see_where_it_comes_from() -> None:
    made = SymbolicBuffer("mul", 4, 0, 3, "intermediate", "layers.0", "aten.mul.Tensor")
    assert made.where == "layers.0 aten.mul.Tensor"
    assert SymbolicBuffer("x", 4, 0, 3, "input").where == "x"
