from __future__ import annotations

from typing import Any

import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.planner.analysis.buffer import SymbolicBuffer
from onecopy.planner.analysis.peak import compiled, live_at_steps, peak_of
from tests.planner.analysis.expressions import BOX, M, N, points

SIZES = [4 * N, 4 * M, 8 * N * M, 4 * N**2, 12 * N + 8, sympy.Integer(20), 2 * sympy.floor(N / 2)]


@st.composite
def lives(draw: Any) -> list[SymbolicBuffer]:
    buffers = []
    for at in range(draw(st.integers(1, 8))):
        start = draw(st.integers(0, 8))
        end = draw(st.integers(start + 1, 9))
        size = draw(st.sampled_from(SIZES))
        buffers.append(SymbolicBuffer(f"b{at}", size, start, end, "intermediate"))
    return buffers


@settings(max_examples=25, deadline=None)
@given(buffers=lives())
def test_the_peak_is_the_largest_sum_of_what_lives_at_any_point(buffers: Any) -> None:
    peak = peak_of(live_at_steps(buffers, 9), BOX)
    for point in points():
        sums = [
            sum(b.size.subs(point) for b in buffers if b.start <= step < b.end) for step in range(9)
        ]
        assert peak.subs(point) == max(sums)


def test_a_sum_that_is_never_the_largest_is_left_out() -> None:
    buffers = [
        SymbolicBuffer("a", 4 * N * M, 0, 2, "intermediate"),
        SymbolicBuffer("b", 4 * N * M + 8 * N, 1, 3, "intermediate"),
        SymbolicBuffer("c", 4 * N, 2, 4, "intermediate"),
    ]
    assert peak_of(live_at_steps(buffers, 4), BOX) == 8 * N * M + 8 * N


def test_nothing_has_a_peak_of_0() -> None:
    assert peak_of(live_at_steps([], 3), BOX) == 0


def test_a_compiled_expression_gives_whole_numbers() -> None:
    evaluate = compiled(sympy.Max(N, M, evaluate=False) + sympy.floor(N / 2), [N, M])
    assert evaluate(5, 3) == 7
