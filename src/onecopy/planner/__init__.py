"""Static memory planning for dynamic shapes: lifetimes, bounds, packing, pools, budgets.

What lives when, and how large it can become, is known before a model runs. So is where everything
goes in one arena, and how long a context may be under a budget of bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.lazy import exports

if TYPE_CHECKING:
    from onecopy.planner import pools
    from onecopy.planner.analysis.buffer import SymbolicBuffer
    from onecopy.planner.analysis.dims import Dim
    from onecopy.planner.analysis.plan import Plan
    from onecopy.planner.analysis.planning import plan
    from onecopy.planner.budget.certificate import Certificate, certify
    from onecopy.planner.budget.fitting import Fit, fit
    from onecopy.planner.budget.prober import Measured
    from onecopy.planner.budget.trade_off import TradeOff, table
    from onecopy.planner.packing.buffer import Buffer
    from onecopy.planner.packing.csv_format import read_csv, write_csv
    from onecopy.planner.packing.drawing import draw
    from onecopy.planner.packing.problem import Problem
    from onecopy.planner.packing.solution import Solution
    from onecopy.planner.packing.solve import solve
    from onecopy.planner.packing.validate import validate
    from onecopy.planner.running.bind import bind, bind_module
    from onecopy.planner.running.planned import Planned
    from onecopy.planner.running.recording import Allocation, Recording, record
    from onecopy.planner.running.stats import Stats

__all__ = [
    "Allocation",
    "bind",
    "bind_module",
    "Buffer",
    "Certificate",
    "certify",
    "Dim",
    "draw",
    "Fit",
    "fit",
    "Measured",
    "Plan",
    "plan",
    "Planned",
    "pools",
    "Problem",
    "read_csv",
    "record",
    "Recording",
    "Solution",
    "solve",
    "Stats",
    "SymbolicBuffer",
    "table",
    "TradeOff",
    "validate",
    "write_csv",
]

# Where each public name lives; imported when first asked for.
_HOMES: dict[str, str | None] = {
    "Allocation": "running.recording",
    "bind": "running.bind",
    "bind_module": "running.bind",
    "Buffer": "packing.buffer",
    "Certificate": "budget.certificate",
    "certify": "budget.certificate",
    "Dim": "analysis.dims",
    "draw": "packing.drawing",
    "Fit": "budget.fitting",
    "fit": "budget.fitting",
    "Measured": "budget.prober",
    "Plan": "analysis.plan",
    "pools": None,
    "plan": "analysis.planning",
    "Planned": "running.planned",
    "Problem": "packing.problem",
    "read_csv": "packing.csv_format",
    "record": "running.recording",
    "Recording": "running.recording",
    "Solution": "packing.solution",
    "solve": "packing.solve",
    "Stats": "running.stats",
    "SymbolicBuffer": "analysis.buffer",
    "table": "budget.trade_off",
    "TradeOff": "budget.trade_off",
    "validate": "packing.validate",
    "write_csv": "packing.csv_format",
}

__getattr__, __dir__ = exports(__name__, _HOMES)
