"""A plan's methods are the functions of the same name, with the plan as their first argument."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.export import Dim

from onecopy import planner
from onecopy.errors import InvalidArgument
from onecopy.planner import Plan, plan
from onecopy.planner.analysis.tasks import Tasks
from tests.planner.analysis.modules import Doubled, Tied


@pytest.mark.parametrize("name", ["bind", "fit", "certify", "table"])
def test_parameters_are_those_of_the_function(name: str) -> None:
    own = list(inspect.signature(getattr(Tasks, name)).parameters.values())[1:]
    theirs = list(inspect.signature(getattr(planner, name)).parameters.values())[1:]
    options = [each for each in own if each.kind is each.VAR_KEYWORD]
    named = [(each.name, each.kind, each.default) for each in own if each not in options]
    assert named == [(p.name, p.kind, p.default) for p in theirs][: len(named)]
    assert bool(options) == (len(named) < len(theirs))


def test_each_does_what_the_function_does() -> None:
    made = plan(Tied(), (torch.ones(2, 8),), dynamic_shapes={"x": {0: Dim("n", max=900)}})
    assert made.fit("8KiB", "n") == planner.fit(made, "8KiB", "n")
    assert made.table("8KiB", "n", "n") == planner.table(made, "8KiB", "n", "n")
    with made.bind(output="pool") as run:
        assert torch.equal(run(torch.ones(3, 8)), made.module(torch.ones(3, 8)))


class TestWithoutItsModule:
    @pytest.fixture
    def loaded(self, tmp_path: Path) -> Plan:
        made = plan(Doubled(), (torch.ones(3),), dynamic_shapes={"x": {0: Dim("n", max=900)}})
        made.save(tmp_path / "p.plan")
        return Plan.load(tmp_path / "p.plan")

    def test_it_fits(self, loaded: Plan) -> None:
        assert loaded.fit("4KiB", "n").values == {"n": 512}

    def test_it_says_how_to_run_it(self, loaded: Plan) -> None:
        runs: list[Any] = [loaded.bind, lambda: loaded.certify({"n": 3}, "1MiB")]
        for run in runs:
            with pytest.raises(InvalidArgument, match=r"Plan\.load\(path, module\)"):
                run()


def test_fitting_imports_nothing_that_runs() -> None:
    code = "import sys, onecopy.planner.analysis.tasks; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "onecopy.planner.running" not in done.stdout
    assert "'torch'" not in done.stdout
