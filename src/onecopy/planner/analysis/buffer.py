"""A buffer of a plan whose size is an expression in the plan's dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["weight", "state", "input", "intermediate", "output"]


@dataclass(frozen=True)
class SymbolicBuffer:
    """`size` bytes (a sympy expression), needed from step `start` until just before step `end`.

    Weights, states and inputs live throughout: from 0 to the last step. `path` is the module
    that makes it (`model.layers.0.mlp`), `op` the operator, `node` the operator in the exported
    graph. `upper` is the largest size within the bounds, None where there is none: such a buffer
    is not planned, the heap serves it. A buffer is `temporary` when the operator in the graph
    that allocates it frees it as well.
    """

    name: str
    size: Any
    start: int
    end: int
    kind: Kind
    path: str = ""
    op: str = ""
    node: str = ""
    upper: int | None = None
    temporary: bool = False

    @property
    def planned(self) -> bool:
        """Whether it has an upper bound."""
        return self.upper is not None

    @property
    def where(self) -> str:
        """Module path and operator, for people."""
        return " ".join(part for part in (self.path, self.op) if part) or self.name
