from __future__ import annotations

import torch
from torch.export import Dim

from onecopy import planner
from onecopy.planner.budget import probe
from tests.planner.budget import modules


def test_memory_that_is_shared_counts_once() -> None:
    module = modules.Wide()
    module.down.weight = module.up.weight
    weights = 4 * (64 * 512 + 512 + 64)
    assert probe._nbytes([*module.parameters(), module.up.weight[1:]]) == weights


def test_a_run_is_measured_in_this_process_too() -> None:
    plan = modules.planned(modules.Wide())
    found = probe.measure(plan, {"s": 10}, 1 << 20)
    assert found["fits"]
    assert found["allocated"] >= 10 * 512 * 4
    assert not probe.measure(plan, {"s": 10}, found["weights"] + found["inputs"])["fits"]


def test_several_processes_have_a_part_of_the_budget_each() -> None:
    plan = modules.planned(modules.Wide())
    one = probe.measure(plan, {"s": 10}, 1 << 20)
    four = one["weights"] + 4 * (one["inputs"] + one["allocated"])
    assert probe.measure(plan, {"s": 10}, four, processes=4)["fits"]
    assert not probe.measure(plan, {"s": 10}, four - 1, processes=4)["fits"]


def test_arguments_may_have_any_name() -> None:
    class Named(torch.nn.Module):
        def forward(self, x: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
            return x + limit

    rows = {0: Dim("s", min=2, max=64)}
    plan = planner.plan(
        Named(), (torch.ones(4),), {"limit": torch.ones(4)}, {"x": rows, "limit": rows}
    )
    assert probe.measure(plan, {"s": 10}, 1 << 20)["fits"]
