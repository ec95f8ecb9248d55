"""What the library counted, in the words of the planner."""

from onecopy.planner.running.layout import Layout, Slot
from onecopy.planner.running.native_modes import ReplayFacts
from onecopy.planner.running.stats import Stats, stats_of

LAYOUT = Layout((Slot(0, 64, 0), Slot(64, 128, 1)), peak=1192, lower_bound=1191)
FACTS = ReplayFacts(*range(1, len(ReplayFacts._fields) + 1))


def test_every_fact_has_its_field():
    of_layout = {LAYOUT.arena_nbytes, LAYOUT.peak, LAYOUT.lower_bound}
    assert set(stats_of(FACTS, LAYOUT)) - of_layout == set(FACTS) - {
        FACTS.region_nbytes,
        FACTS.open,
    }


def test_sizes_of_the_plan_are_those_of_the_layout():
    stats = stats_of(FACTS, LAYOUT)
    assert (stats.arena_nbytes, stats.planned_nbytes, stats.lower_bound) == (64, 1192, 1191)


def test_misses_are_all_kinds_of_them():
    kinds = ("too_large", "held", "unplanned", "unmapped", "unplaced")
    stats = stats_of(FACTS, LAYOUT)
    assert stats.misses == sum(getattr(stats, kind) for kind in kinds)
    assert set(kinds) < set(Stats._fields)
