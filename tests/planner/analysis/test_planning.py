from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch.export import Dim

from onecopy.errors import ExportFailed, InvalidArgument, InvalidBounds, UnboundedDimension
from onecopy.planner import plan
from tests.planner.analysis.modules import Cached, Counted, Doubled, Pair, Selected, Tied


def test_dimensions_keep_the_names_that_the_caller_gave() -> None:
    shapes = {"x": {0: Dim("batch", min=1, max=8), 1: Dim("length", max=16)}}
    planned = plan(Doubled(), (torch.ones(2, 3),), dynamic_shapes=shapes)
    assert {(d.name, d.lower, d.upper) for d in planned.dims.values()} == {
        ("batch", 1, 8),
        ("length", 0, 16),
    }
    assert str(planned.bytes) == "8*batch*length"


def test_a_dimension_without_an_upper_bound_is_refused_by_name() -> None:
    shapes = {"x": {0: Dim("n", max=8), 1: Dim("wide")}}
    with pytest.raises(UnboundedDimension, match=r"'wide'.*max=.*dynamic="):
        plan(Doubled(), (torch.ones(2, 3),), dynamic_shapes=shapes)


def test_an_unnamed_dimension_without_a_bound_is_refused_by_its_place() -> None:
    with pytest.raises(UnboundedDimension, match="'x_0'"):
        plan(Doubled(), (torch.ones(3),), dynamic_shapes={"x": {0: Dim.DYNAMIC}})
    planned = plan(Doubled(), (torch.ones(3),), dynamic_shapes={"x": {0: Dim.DYNAMIC(max=9)}})
    assert planned.dims["x_0"].upper == 9


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


def test_an_example_outside_of_its_bounds_is_refused() -> None:
    with pytest.raises(InvalidBounds, match=r"example for x .* 9 .* at most 8"):
        plan(Doubled(), (torch.ones(9),), dynamic_shapes={"x": {0: Dim("n", max=8)}})
    with pytest.raises(InvalidBounds, match="at least 4"):
        plan(Doubled(), (torch.ones(3),), dynamic_shapes={"x": {0: Dim("n", min=4, max=8)}})


def test_one_name_with_two_pairs_of_bounds_is_refused() -> None:
    shapes = {"x": {0: Dim("n", max=8), 1: Dim("n", max=9)}}
    with pytest.raises(InvalidBounds, match="twice"):
        plan(Doubled(), (torch.ones(2, 3),), dynamic_shapes=shapes)


def test_a_derived_dimension_is_an_expression_in_its_root() -> None:
    n = Dim("n", max=8)
    shapes = {"x": {0: 2 * n + 1}}
    planned = plan(Doubled(), (torch.ones(7),), dynamic_shapes=shapes)
    assert list(planned.dims) == ["n"]
    assert str(planned.bytes) == "16*n + 8"
    (x,), _ = planned.inputs_at(n=5)
    assert x.shape == (11,)


def test_sizes_that_the_data_decides_are_bounded_by_what_they_are_chosen_from() -> None:
    planned = plan(Selected(), (torch.ones(7, 3),), dynamic_shapes={"x": {0: Dim("n", max=12)}})
    sizes = {each.name: str(each.size) for each in planned.buffers}
    assert sizes == {"x": "12*n", "nonzero": "48*n", "add": "48*n"}


def test_sizes_that_only_the_data_decides_are_refused_or_stay_outside() -> None:
    with pytest.raises(UnboundedDimension, match="'u0'"):
        plan(Counted(), (torch.tensor(4),))
    planned = plan(Counted(), (torch.tensor(4),), dynamic=("u0",))
    assert planned.bytes == 8
    assert len(planned.unplanned) == 2


def test_a_count_is_bounded_by_what_the_module_states_of_it() -> None:
    class First(torch.nn.Module):
        def forward(self, x: Any, count: Any) -> Any:
            rows = count.item()
            torch._check(rows >= 0)
            torch._check(rows <= x.shape[0])
            return torch.ones(rows, 3)

    shapes = {"x": {0: Dim("n", max=64)}, "count": None}
    planned = plan(First(), (torch.ones(7), torch.tensor(4)), dynamic_shapes=shapes)
    assert [str(each.size) for each in planned.outputs] == ["12*n"]


def test_relations_that_the_module_states_bound_sizes() -> None:
    class Rest(torch.nn.Module):
        def forward(self, x: Any, y: Any) -> Any:
            torch._check(x.shape[0] >= y.shape[0])
            return x.new_empty(x.shape[0] - y.shape[0] + 2 * y.shape[0])

    bounds = {"x": {0: Dim("n", min=4, max=12)}, "y": {0: Dim("m", min=4, max=50)}}
    with pytest.raises(ExportFailed, match="narrow the bounds"):
        plan(Rest(), (torch.ones(9), torch.ones(5)), dynamic_shapes=bounds)
    bounds["y"][0] = Dim("m", min=4, max=12)
    planned = plan(Rest(), (torch.ones(9), torch.ones(5)), dynamic_shapes=bounds)
    assert [str(each) for each in planned.relations] == ["n >= m"]
    assert planned.outputs[0].upper == 4 * 24


def test_what_torch_refuses_is_told_with_a_remedy() -> None:
    shapes = {"x": {0: Dim("n", max=8)}, "y": {0: Dim("m", max=8)}}
    with pytest.raises(ExportFailed, match=r"Pair: .*equal.*use one torch.export.Dim for both"):
        plan(Pair(), (torch.ones(3), torch.ones(3)), dynamic_shapes=shapes)

    class Branching(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    with pytest.raises(ExportFailed, match=r"torch\.cond"):
        plan(Branching(), (torch.ones(3),))


def test_arguments_must_fit() -> None:
    with pytest.raises(InvalidArgument, match="do not fit"):
        plan(Doubled(), (torch.ones(3), 4))
    with pytest.raises(InvalidArgument, match="dynamic_shapes names z"):
        plan(Doubled(), (torch.ones(3),), dynamic_shapes={"z": {0: Dim("n", max=3)}})
    with pytest.raises(InvalidArgument, match="axis 1 of x"):
        plan(Doubled(), (torch.ones(3),), dynamic_shapes={"x": {1: Dim("n", max=3)}})
    with pytest.raises(InvalidArgument, match=r"nn\.Module"):
        plan(len, (torch.ones(3),))


def test_what_a_call_writes_to_is_state_and_counts_once() -> None:
    shapes = {"x": {0: Dim("n", max=32)}, "cache": {0: Dim("s", min=32, max=64)}}
    planned = plan(Cached(), (torch.ones(4, 8), torch.zeros(40, 8)), dynamic_shapes=shapes)
    assert [each.name for each in planned.state] == ["seen", "cache"]
    assert planned.weights_nbytes == (64 + 8 + 8) * 4
    s, n = planned.dims["s"].symbol, planned.dims["n"].symbol
    standing = 64 * 8 * 4 + 32 * s + 32 * n + planned.weights_nbytes
    assert planned.bytes == standing + 64 * n
    assert all((b.start, b.end) == (0, planned.steps) for b in planned.state)


def test_state_can_be_named() -> None:
    planned = plan(Cached(), (torch.ones(4, 8), torch.zeros(40, 8)), state=["scale", "x"])
    assert [each.name for each in planned.state] == ["seen", "scale", "x", "cache"]
    with pytest.raises(InvalidArgument, match="neither a buffer"):
        plan(Cached(), (torch.ones(4, 8), torch.zeros(40, 8)), state=["caches"])


def test_weights_that_are_tied_count_once() -> None:
    planned = plan(Tied(), (torch.ones(2, 8),))
    assert planned.weights_nbytes == 256
    assert [each.name for each in planned.weights] == ["one.weight"]


def test_keyword_arguments_and_containers_are_followed() -> None:
    class Nested(torch.nn.Module):
        def forward(self, pairs: Any, *more: Any, scale: Any = 1, extra: Any) -> Any:
            return pairs["a"][0] * scale + more[0] + extra

    n = Dim("n", max=9)
    planned = plan(
        Nested(),
        ({"a": [torch.ones(3)], "b": None}, torch.ones(3)),
        {"scale": 2.0, "extra": torch.ones(3)},
        dynamic_shapes={
            "pairs": {"a": [{0: n}], "b": None},
            "more": ({0: n},),
            "scale": None,
            "extra": {0: n},
        },
    )
    assert [each.name for each in planned.inputs] == ["pairs['a'][0]", "more[0]", "extra"]
    (pairs, more), kwargs = planned.inputs_at(n=7)
    assert (pairs["a"][0].shape, more.shape, kwargs["extra"].shape) == ((7,),) * 3
    assert kwargs["scale"] == 2.0


def test_shapes_may_be_collected_by_tensor() -> None:
    x, y = torch.ones(3), torch.ones(3)
    shapes = torch.export.ShapesCollection()
    shapes[x] = shapes[y] = {0: Dim("n", max=9)}
    assert str(plan(Pair(), (x, y), dynamic_shapes=shapes).bytes) == "12*n"


def test_an_input_that_is_a_view_counts_what_is_seen_of_it() -> None:
    whole = torch.ones(50, 8)
    planned = plan(Doubled(), (whole[:, 2:5],), dynamic_shapes={"x": {0: Dim("n", max=60)}})
    assert str(planned.inputs[0].size) == "12*n"


def test_branches_of_a_condition_are_both_planned() -> None:
    class Either(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.cond(
                x.sum() > 0,
                lambda x: x.sin() + 1,
                lambda x: torch.cat([x, x, x]).cos()[: x.shape[0]] + 1,
                (x,),
            )

    planned = plan(Either(), (torch.ones(4),), dynamic_shapes={"x": {0: Dim("n", max=9)}})
    assert {"sin", "cat"} <= {each.node for each in planned.buffers}
    assert planned.nbytes(n=9) >= 36 + 108 * 2


def test_a_module_on_the_meta_device_is_analysed_as_if_it_ran_on_the_cpu() -> None:
    class Attention(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.nn.functional.scaled_dot_product_attention(x, x, x).sin()

    shapes = {"x": {2: Dim("n", min=2, max=64)}}
    on_meta = plan(Attention(), (torch.ones(1, 2, 8, 4, device="meta"),), dynamic_shapes=shapes)
    here = plan(Attention(), (torch.ones(1, 2, 8, 4),), dynamic_shapes=shapes)
    assert on_meta.bytes == here.bytes


def test_a_compiled_module_is_planned_as_what_it_was_made_from() -> None:
    module = torch.compile(Doubled(), backend="eager")
    planned = plan(module, (torch.ones(3),), dynamic_shapes={"x": {0: Dim("n", max=5)}})
    assert planned.module is module
    assert str(planned.bytes) == "8*n"


def test_planning_allocates_nothing_of_what_it_plans() -> None:
    class Huge(torch.nn.Module):
        def forward(self) -> Any:
            return torch.empty(2**44, dtype=torch.uint8).sin().sum()

    assert plan(Huge()).nbytes() > 2**44


def test_sparse_inputs_are_followed_but_not_counted() -> None:
    class Product(torch.nn.Module):
        def forward(self, a: Any, x: Any) -> Any:
            return torch.sparse.mm(a, x)

    planned = plan(Product(), (torch.eye(4).to_sparse(), torch.ones(4, 2)))
    assert [each.name for each in planned.inputs] == ["x"]
    assert [int(each.size) for each in planned.outputs] == [32]


def test_naming_the_planner_imports_neither_torch_nor_sympy() -> None:
    code = "import sys, onecopy.planner; print({'torch', 'sympy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
