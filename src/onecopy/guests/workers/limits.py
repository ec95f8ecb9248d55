"""With what a pool can be made."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onecopy.errors import InvalidArgument, UnsupportedValue
from onecopy.guests.decoding.grammar_engine import check_engine

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Limits:
    """What guests and workers of a pool may take; see `Pool`.

    Raises:
        InvalidArgument: one under which nothing can run, or that is none.
    """

    guest_ms: float
    step_ms: float
    start_ms: float
    grace_ms: float
    memory_limit: int
    worker_memory: int
    per_tenant: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < math.inf:
                raise InvalidArgument(f"{name}={value}: give a number above 0, or leave it out")


def checked_engines(names: Sequence[str]) -> tuple[str, ...]:
    """Return engines of grammars, llguidance first.

    Raises:
        InvalidArgument: one that there is not.
        UnsupportedValue: xgrammar, which is not installed.
    """
    for name in names:
        check_engine(name)
    if "xgrammar" in names and importlib.util.find_spec("xgrammar") is None:
        raise UnsupportedValue(
            'grammar_engines with "xgrammar" need that package; pip install xgrammar, or leave it '
            "to llguidance"
        )
    return ("llguidance", *(name for name in names if name != "llguidance"))
