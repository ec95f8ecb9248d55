from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from onecopy.errors import InvalidArgument, UnsupportedValue, WaitTimeout, WorkerLost
from onecopy.planner.budget import probe
from onecopy.planner.budget.prober import Prober
from tests.conftest import open_files
from tests.planner.budget import modules
from tests.prepared import output_of

WEIGHTS = 4 * (64 * 512 + 512 + 512 * 64 + 64)
ROW = 64 * 4


def test_it_measures_up_to_a_budget_and_leaves_nothing_behind() -> None:
    torch.set_num_threads(1)
    plan = modules.planned(modules.Wide())
    before = open_files()
    with Prober(plan) as prober:
        enough = prober.measure({"s": 100}, 1 << 20)
        assert enough.fits
        assert (enough.weights, enough.inputs) == (WEIGHTS, 100 * ROW)
        assert enough.peak is not None
        assert prober.measure({"s": 100}, enough.peak).fits
        scarce = prober.measure({"s": 100}, enough.peak - 1)
        assert not scarce.fits
        assert scarce.peak is None
        alone = prober.measure({"s": 100}, WEIGHTS)
        assert alone.why == "weights and inputs are more alone"
        assert prober.measure({"s": 100}, 100 * ROW).why == "weights and inputs are more alone"
        unmade = prober.measure({"s": 100}, 100 * ROW - 1)
        assert (unmade.fits, unmade.peak, unmade.rss) == (False, None, 0)
        assert (unmade.weights, unmade.inputs) == (WEIGHTS, 100 * ROW)
        assert unmade.why == "its inputs are more alone"
    prober.close()
    assert open_files() == before


def test_inputs_that_no_memory_could_hold_are_not_made() -> None:
    plan = modules.planned(modules.Wide(), most=2**50)
    with Prober(plan) as prober:
        found = prober.measure({"s": 2**50}, 1 << 30)
    assert (found.fits, found.inputs) == (False, 2**50 * ROW)
    certificate = plan.certify({"s": 2**40}, "1MiB", step=64)
    assert certificate.peak <= 1 << 20


def test_a_module_that_fails_says_why_and_a_process_that_dies_harms_nobody() -> None:
    plan = modules.planned(modules.Troubled())
    with Prober(plan) as prober:
        with pytest.raises(InvalidArgument, match="at s = 8: ZeroDivisionError: for a test"):
            prober.measure({"s": 8}, 1 << 20)
        with pytest.raises(WorkerLost, match="ended with status -9"):
            prober.measure({"s": 9}, 1 << 20)


def test_what_cannot_be_pickled_is_made_there() -> None:
    plan = modules.planned(modules.Unsendable())
    with pytest.raises(UnsupportedValue, match="factory="):
        Prober(plan)
    with Prober(plan, factory=f"{modules.__name__}:unsendable") as prober:
        assert prober.measure({"s": 8}, 1 << 20).fits


def test_a_plan_without_weights_needs_a_factory() -> None:
    with torch.device("meta"):
        plan = modules.planned(modules.Wide())
    with pytest.raises(UnsupportedValue, match="meta device"):
        Prober(plan)


def test_an_answer_that_does_not_come_is_not_waited_for_without_end() -> None:
    plan = modules.planned(modules.Wide())
    before = open_files()
    with pytest.raises(WaitTimeout, match="raise `timeout`"):
        Prober(plan, timeout=0)
    assert open_files() == before


MAIN = """
import torch
from onecopy import planner

class Mine(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(64, 64)

    def forward(self, x):
        return self.inner(x)

if __name__ == "__main__":
    s = torch.export.Dim("s", min=2, max=999)
    plan = planner.plan(Mine(), (torch.ones(4, 64),), dynamic_shapes={"x": {0: s}})
    print(plan.certify({"s": 8}, "100KiB").values["s"])
"""


def test_classes_of_the_main_module_are_found(tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(MAIN)
    line = [sys.executable, str(script)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert 100 < int(done.stdout) < 200


def test_classes_without_a_file_are_refused() -> None:
    # As with `python -c`, in a session, and where a program comes by a pipe.
    with pytest.raises(AssertionError, match="the module's class is in a main module without a"):
        output_of(MAIN)


def test_the_process_does_not_start_another_while_it_imports_the_main_module(monkeypatch) -> None:
    monkeypatch.setattr(probe, "active", True)
    with pytest.raises(InvalidArgument, match='under `if __name__ == "__main__":`'):
        Prober(modules.planned(modules.Wide()))
