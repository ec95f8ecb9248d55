from __future__ import annotations

import itertools

from hypothesis import given

from onecopy.planner import Buffer, Problem
from onecopy.planner.packing.sections import cut
from tests.planner.packing.problems import problems


def test_sections_are_the_largest_sets_that_live_together() -> None:
    problem = Problem([Buffer("a", 1, 0, 4), Buffer("b", 2, 1, 2), Buffer("c", 4, 2, 3)])
    sections = problem.sections
    assert sections.times == [1, 2]
    assert sections.needed == [3, 5]
    assert sections.spans == [((0, 2),), ((0, 1),), ((1, 2),)]


@given(problems(most=8))
def test_two_buffers_share_a_section_exactly_if_they_meet(problem: Problem) -> None:
    sections = cut(problem.buffers, 1)
    within = [{s for span in spans for s in range(*span)} for spans in sections.spans]
    for one, mine in zip(problem.buffers, within, strict=True):
        for other, its in zip(problem.buffers, within, strict=True):
            if one is not other and one.size and other.size:
                assert bool(mine & its) == one.meets(other)
        assert bool(mine) == bool(one.size)


@given(problems(most=8))
def test_a_section_is_what_lives_at_its_time_and_none_is_part_of_another(problem: Problem) -> None:
    sections = cut(problem.buffers, 1)
    live = []
    for number, (time, needed) in enumerate(zip(sections.times, sections.needed, strict=True)):
        here = {
            each.name
            for each, spans in zip(problem.buffers, sections.spans, strict=True)
            if any(first <= number < last for first, last in spans)
        }
        assert here == {each.name for each in problem.live_at(time) if each.size}
        assert needed == sum(each.size for each in problem.live_at(time))
        live.append(here)
    assert sections.times == sorted(set(sections.times))
    if not any(each.gaps for each in problem.buffers):  # After a gap the same ones may meet again.
        for one, other in itertools.pairwise(live):
            assert not one <= other
            assert not other <= one


@given(problems(most=8))
def test_padding_never_makes_the_bound_lower(problem: Problem) -> None:
    plain = cut(problem.buffers, 1)
    for padding in (2, 64):
        padded = cut(problem.buffers, padding)
        assert all(a >= b for a, b in zip(padded.needed, plain.needed, strict=True))
