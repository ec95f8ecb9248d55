"""Static memory planning for dynamic shapes: lifetimes, bounds, packing, pools, budgets.

What lives when, and how large it can become, is known before a model runs. So is where everything
goes in one arena, and how long a context may be under a budget of bytes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onecopy.planner import pools
    from onecopy.planner.analysis.buffer import SymbolicBuffer
    from onecopy.planner.analysis.dims import Dim
    from onecopy.planner.analysis.plan import Plan
    from onecopy.planner.analysis.planning import plan
    from onecopy.planner.packing.buffer import Buffer
    from onecopy.planner.packing.problem import Problem
    from onecopy.planner.packing.solution import Solution
    from onecopy.planner.packing.solve import solve
    from onecopy.planner.packing.validate import validate

__all__ = [
    "Buffer",
    "Dim",
    "Plan",
    "Problem",
    "Solution",
    "SymbolicBuffer",
    "plan",
    "pools",
    "solve",
    "validate",
]

# Where each public name lives; imported when first asked for.
_HOMES = {
    "Buffer": "packing.buffer",
    "Dim": "analysis.dims",
    "Plan": "analysis.plan",
    "SymbolicBuffer": "analysis.buffer",
    "plan": "analysis.planning",
    "Problem": "packing.problem",
    "Solution": "packing.solution",
    "solve": "packing.solve",
    "validate": "packing.validate",
}


def __getattr__(name: str) -> Any:
    if name == "pools":
        return importlib.import_module("onecopy.planner.pools")
    if name not in _HOMES:
        raise AttributeError(f"module 'onecopy.planner' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"onecopy.planner.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
