"""What a recording sees, and what it refuses."""

import gc
import json
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.errors import AllocatorUnavailable, BudgetExceeded, InvalidArgument
from onecopy.native import Unavailable, allocator
from onecopy.planner.running.recording import Allocation, Recording, record
from tests.planner.running.models import Mlp


def sizes(recording):
    return [each.nbytes for each in recording.allocations]


def test_it_sees_sizes_and_lifetimes_in_order():
    def work():
        a = torch.empty(100, dtype=torch.uint8)
        b = torch.empty(200, dtype=torch.uint8)
        del a
        return b

    recording = record(work)
    assert recording.allocations == (
        Allocation(0, 100, start=0, end=2, freed=True),
        Allocation(1, 200, start=1, end=3, freed=False),
    )
    assert recording.peak == 300
    assert recording.result.numel() == 200


def test_kernel_temporaries_are_part_of_it():
    a = torch.rand(64, 64).t()
    recording = record(lambda: torch.linalg.inv(a))
    assert len(recording.allocations) > 1


def test_its_problem_has_a_buffer_for_each_allocation_with_rounded_sizes():
    problem = record(lambda: torch.empty(65, dtype=torch.uint8)).problem()
    (buffer,) = problem.buffers
    assert (buffer.name, buffer.size, buffer.alignment) == ("0", 128, 64)
    assert problem.lower_bound == 128


def test_a_peak_is_the_largest_sum_of_what_lives_at_one_time():
    def work():
        for size in (100, 300, 200):
            each = torch.empty(size, dtype=torch.uint8)
            del each
        return torch.empty(50, dtype=torch.uint8)

    assert record(work).peak == 300


def test_what_other_threads_allocate_is_no_part_of_it():
    def work():
        thread = threading.Thread(target=lambda: torch.empty(1000))
        thread.start()
        thread.join()
        return torch.empty(10, dtype=torch.uint8)

    assert sizes(record(work)) == [10]


def test_what_other_threads_free_is():
    def work():
        held = [torch.empty(10, dtype=torch.uint8)]
        thread = threading.Thread(target=held.clear)
        thread.start()
        thread.join()

    (allocation,) = record(work).allocations
    assert allocation.freed


def test_blocks_from_before_are_no_part_of_it():
    held = [torch.empty(1000)]
    assert record(held.clear).allocations == ()


def test_a_block_that_takes_the_address_of_a_freed_one_is_another():
    def work():
        for _ in range(2000):
            torch.empty(64, dtype=torch.uint8)

    recording = record(work)
    assert len(recording.allocations) == 2000
    assert recording.peak == 64


def test_recordings_within_recordings_both_see_everything():
    inner = []
    outer = record(lambda: inner.append(record(torch.empty, 5)))
    assert sizes(inner[0]) == sizes(outer) == [20]


def test_one_that_failed_leaves_no_trace():
    def fail():
        torch.empty(100)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        record(fail)
    assert sizes(record(torch.empty, 5)) == [20]


class TestLimit:
    def test_up_to_it_all_is_well(self):
        recording = record(torch.empty, 100, dtype=torch.uint8, limit=100)
        assert recording.peak == 100

    def test_past_it_the_function_fails(self):
        with pytest.raises(BudgetExceeded, match=r"101 bytes .* limit of 100; raise it by 1"):
            record(torch.empty, 101, dtype=torch.uint8, limit=100)

    def test_a_refusal_says_what_lived_when_it_came(self):
        def work():
            held = [torch.empty(50, dtype=torch.uint8) for _ in range(2)]
            try:
                torch.empty(70, dtype=torch.uint8)
            finally:
                held.clear()

        with pytest.raises(BudgetExceeded, match=r"70 bytes .* beside 100 .* raise it by 50 "):
            record(work, limit=120)

    def test_what_was_freed_counts_no_longer(self):
        def work():
            for _ in range(10):
                torch.empty(100, dtype=torch.uint8)

        assert record(work, limit=100).peak == 100

    def test_within_a_model_it_is_a_memory_error(self):
        module, x = Mlp(), torch.ones(100, 32)
        peak = record(module, x).peak
        record(module, x, limit=peak)
        with pytest.raises(MemoryError):
            record(module, x, limit=peak - 1)
        gc.collect()

    def test_a_function_may_do_without(self):
        def work():
            try:
                return torch.empty(1000)
            except RuntimeError:
                return torch.empty(10)

        recording = record(work, limit=100)
        assert recording.refused == 1
        assert sizes(recording) == [40]

    def test_an_error_of_its_own_stays_what_it_is(self):
        def fail():
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            record(fail, limit=10)

    def test_it_may_be_written_as_people_do(self):
        assert record(torch.empty, 256, limit="1KiB").peak == 1024
        with pytest.raises(BudgetExceeded, match="limit of 1024"):
            record(torch.empty, 257, limit="1KiB")

    @pytest.mark.parametrize(
        ("limit", "text"), [(-1, "from 0 on"), (0.5, "whole number"), ("much", "not a size")]
    )
    def test_what_is_no_number_of_bytes_is_refused(self, limit, text):
        with pytest.raises(InvalidArgument, match=text):
            record(torch.empty, 1, limit=limit)


class TestSaved:
    def test_it_goes_through_json(self):
        recording = record(Mlp(), torch.ones(3, 32))
        assert Recording.from_dict(json.loads(json.dumps(recording.as_dict()))) == recording

    @pytest.mark.parametrize(
        "saved",
        [
            *({}, {"peak": 1}, {"peak": "x", "allocations": []}, {"peak": -1, "allocations": []}),
            *({"peak": 9.5, "allocations": []}, {"peak": 1, "allocations": 5}),
            {"peak": 9, "allocations": [[0, 9, 0, 1, True]] * 2},
            {"peak": 9, "allocations": [[0, 9, 0, 1]]},
        ],
    )
    def test_nonsense_is_refused(self, saved):
        with pytest.raises(InvalidArgument, match="record it anew"):
            Recording.from_dict(saved)

    @pytest.mark.parametrize("field", range(5))
    @pytest.mark.parametrize("value", [-1, 1.5, "a", None, [1], 1 << 64, float("nan")])
    def test_an_allocation_with_a_field_of_nonsense_is_refused(self, field, value):
        allocation = [0, 100, 1, 2, True]
        allocation[field] = value
        saved = {"peak": 100, "allocations": [allocation]}
        with pytest.raises(InvalidArgument, match="record it anew"):
            Recording.from_dict(saved)


def test_without_the_library_it_says_why(monkeypatch):
    def refuse():
        raise Unavailable("this test refuses it")

    monkeypatch.setattr(allocator, "install", refuse)
    with pytest.raises(AllocatorUnavailable, match="this test refuses it"):
        record(torch.empty, 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 10)), max_size=60))
def test_it_agrees_with_a_model_of_it(steps):
    """Each step allocates, or frees the oldest few."""

    def work():
        held, live, peak = [], 0, 0
        for nbytes, frees in steps:
            held.append(torch.empty(nbytes, dtype=torch.uint8))
            live += nbytes
            peak = max(peak, live)
            for each in held[:frees]:
                live -= each.numel()
            each = None
            del held[:frees]
        return held, peak

    recording = record(work)
    held, peak = recording.result
    assert sizes(recording) == [nbytes for nbytes, _ in steps]
    assert recording.peak == peak
    assert [each.nbytes for each in recording.allocations if not each.freed] == [
        each.numel() for each in held
    ]
