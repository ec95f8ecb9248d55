from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch.export import Dim

from onecopy.errors import InvalidArgument, UnboundedDimension
from onecopy.planner import plan
from tests.planner.analysis.modules import Counted, Doubled, Pair


def test_a_dimension_without_an_upper_bound_is_refused_by_name() -> None:
    shapes = {"x": {0: Dim("n", max=8), 1: Dim("wide")}}
    with pytest.raises(UnboundedDimension, match=r"'wide'.*max=.*dynamic="):
        plan(Doubled(), (torch.ones(2, 3),), dynamic_shapes=shapes)


def test_a_dynamic_dimension_keeps_its_buffers_outside_of_the_plan() -> None:
    shapes = {"x": {0: Dim("n", max=8)}, "y": {0: Dim("m")}}

    class Two(torch.nn.Module):
        def forward(self, x: Any, y: Any) -> Any:
            return x.sin(), y.cos()

    planned = plan(Two(), (torch.ones(2), torch.ones(3)), dynamic_shapes=shapes, dynamic=("m",))
    assert [b.name for b in planned.problem().buffers] == ["sin"]
    assert [b.name for b in planned.problem(m=5).buffers] == ["sin", "cos"]
    assert str(planned.bytes) == "8*n"


def test_dynamic_takes_only_names_of_dimensions() -> None:
    with pytest.raises(InvalidArgument, match="typo"):
        plan(
            Doubled(),
            (torch.ones(3),),
            dynamic_shapes={"x": {0: Dim("n", max=3)}},
            dynamic=["typo"],
        )


@pytest.mark.parametrize("size", [0, 1])
def test_an_example_of_size_0_or_1_is_not_taken_for_a_constant(size: int) -> None:
    shapes = {"x": {0: Dim("n", max=8)}}
    planned = plan(Doubled(), (torch.ones(size, 3),), dynamic_shapes=shapes)
    assert str(planned.bytes) == "24*n"


def test_sizes_that_only_the_data_decides_are_refused_or_stay_outside() -> None:
    with pytest.raises(UnboundedDimension, match="'u0'"):
        plan(Counted(), (torch.tensor(4),))
    planned = plan(Counted(), (torch.tensor(4),), dynamic=("u0",))
    assert planned.bytes == 8
    assert len(planned.unplanned) == 2


def test_shapes_may_be_collected_by_tensor() -> None:
    x, y = torch.ones(3), torch.ones(3)
    shapes = torch.export.ShapesCollection()
    shapes[x] = shapes[y] = {0: Dim("n", max=9)}
    assert str(plan(Pair(), (x, y), dynamic_shapes=shapes).bytes) == "12*n"


def test_a_compiled_module_is_planned_as_what_it_was_made_from() -> None:
    module = torch.compile(Doubled(), backend="eager")
    planned = plan(module, (torch.ones(3),), dynamic_shapes={"x": {0: Dim("n", max=5)}})
    assert planned.module is module
    assert str(planned.bytes) == "8*n"


def test_naming_the_planner_imports_neither_torch_nor_sympy() -> None:
    code = "import sys, onecopy.planner; print({'torch', 'sympy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (torch.sin, r"an nn\.Module, not builtin_function_or_method; call it in the `forward`"),
        (torch.export.export(Doubled(), (torch.ones(2),)), "the nn.Module that was exported"),
    ],
)
def test_what_is_no_module_is_refused(module: Any, text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        plan(module, (torch.ones(3),))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_scripted_module_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="scripted"):
        plan(torch.jit.script(torch.nn.Linear(3, 3)), (torch.ones(3, 3),))


def test_a_device_that_is_not_there_is_refused() -> None:
    for device, text in [("nonsense", "no device of torch"), (3.5, "no device"), ("mps", "no mps")]:
        with pytest.raises(InvalidArgument, match=text):
            plan(Doubled(), (torch.ones(3),), device=device)
    assert plan(Doubled(), (torch.ones(3),), device="cpu").nbytes() == 24
