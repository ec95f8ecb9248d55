"""Slots: no two overlap that live at once, whatever outlives the run included."""

import torch

from onecopy.planner.running.layout import lay_out
from onecopy.planner.running.recording import record
from tests.planner.running.models import Decoder


def test_no_two_slots_overlap_that_live_at_once():
    recording = record(Decoder(), torch.ones(2, 30, 32))
    placed = list(zip(lay_out(recording).slots, recording.allocations, strict=True))
    for index, (slot, one) in enumerate(placed):
        assert slot.nbytes >= one.nbytes
        assert slot.offset % 64 == slot.nbytes % 64 == 0
        for other_slot, other in placed[:index]:
            apart = one.start >= other.end or other.start >= one.end
            beside = (
                slot.offset >= other_slot.offset + other_slot.nbytes
                or other_slot.offset >= slot.offset + slot.nbytes
            )
            assert apart or beside


def test_what_outlives_the_run_is_marked_and_no_part_of_the_arena():
    layout = lay_out(record(lambda: torch.empty(1000, dtype=torch.uint8)))
    assert [each.kept for each in layout.slots] == [1]
    assert layout.arena_nbytes == 0
    assert layout.peak == layout.lower_bound == 1024


def test_outputs_share_addresses_with_what_is_dead_by_then():
    def work():
        a = torch.empty(1 << 20, dtype=torch.uint8)
        del a
        return torch.empty(1 << 20, dtype=torch.uint8)

    layout = lay_out(record(work))
    assert layout.peak == layout.arena_nbytes == 1 << 20


def test_a_function_that_allocates_nothing_has_an_empty_layout():
    layout = lay_out(record(lambda: None))
    assert (layout.slots, layout.peak, layout.arena_nbytes) == ((), 0, 0)
