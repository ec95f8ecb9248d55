from __future__ import annotations

import pytest

from onecopy.errors import InvalidArgument
from onecopy.planner.budget import probe
from tests.planner.budget import modules


def test_a_function_is_found_by_its_name() -> None:
    assert probe.resolve("tests.planner.budget.modules:wide") is modules.wide


@pytest.mark.parametrize(
    "name", ["nowhere:module", "tests.planner.budget.modules:no", "x", ":", ".:y", "os:sep"]
)
def test_what_names_no_function_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="is no function"):
        probe.resolve(name)


def test_memory_that_is_shared_counts_once() -> None:
    module = modules.Wide()
    module.down.weight = module.up.weight
    plan = modules.planned(modules.Wide())
    plan.module = module
    weights = 4 * (64 * 512 + 512 + 64)
    assert probe._nbytes([*module.parameters(), module.up.weight[1:]]) == weights
