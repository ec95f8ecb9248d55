from __future__ import annotations

import pytest
import sympy
from torch.utils._sympy import functions as theirs

from onecopy.errors import UnsupportedValue
from onecopy.planner.analysis.dims import symbol_of
from onecopy.planner.analysis.sizes import translated

S = sympy.Symbol("s77", integer=True, positive=True)
N = symbol_of("n")


@pytest.mark.parametrize("value", range(1, 20))
def test_torchs_functions_become_sympys(value: int) -> None:
    for size, expected in [
        (theirs.FloorDiv(S + 1, 3), (value + 1) // 3),
        (theirs.Mod(S, 4), value % 4),
        (theirs.PythonMod(S, 4), value % 4),
        (theirs.ModularIndexing(S, 2, 3), value // 2 % 3),
        (theirs.Max(S, 5) * theirs.Min(S, 7), max(value, 5) * min(value, 7)),
        (theirs.CeilToInt(theirs.IntTrueDiv(S, 2)), -(-value // 2)),
        (theirs.PowByNatural(S, 2), value**2),
    ]:
        assert translated(size, {S: N}).subs(N, value) == expected


def test_an_unknown_function_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedValue, match="sin"):
        translated(sympy.sin(S), {S: N})
