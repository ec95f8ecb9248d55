"""Planned runs give what the module gives, bit for bit, and never overwrite what lives."""

import copy
import gc
import logging
import pickle
import resource
import sys
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy import native
from onecopy.errors import AllocationMissed, InvalidArgument
from onecopy.planner.running.bind import bind_module
from onecopy.planner.running.native_modes import Recorder, depth_in
from onecopy.planner.running.recording import record
from onecopy.segments.region import PAGE
from onecopy.tensors.arena import Arena, locate
from tests.planner.running.models import Decoder, Mlp, same
from tests.prepared import output_of

MIB = 1 << 20


def bound(module, *args, **options):
    return bind_module(module, args, **options)


@pytest.fixture
def decoder():
    torch.manual_seed(1)
    return Decoder().eval()


@pytest.fixture
def run(decoder):
    with bound(decoder, torch.rand(4, 64, 32)) as run:
        yield run


def shapes(count, seed=0):
    drawn = torch.Generator().manual_seed(seed)
    for _ in range(count):
        b, s = (int(torch.randint(1, high + 1, (), generator=drawn)) for high in (4, 64))
        yield torch.rand(b, s, 32, generator=drawn)


class TestShapes:
    def test_at_every_smaller_shape_all_allocations_hit(self, run, decoder):
        for x in shapes(60):
            assert same(run(x), decoder(x))
        stats = run.stats()
        assert stats.misses == stats.arenas_held == stats.displaced == 0
        assert stats.hits > 0
        assert stats.calls == 60

    @pytest.mark.parametrize("shape", [(1, 1), (4, 64), (1, 64), (4, 1)])
    def test_the_corners_hit_too(self, run, decoder, shape):
        x = torch.rand(*shape, 32)
        assert same(run(x), decoder(x))
        assert run.stats().misses == 0

    @pytest.mark.parametrize("shape", [(5, 64), (4, 70), (40, 200)])
    def test_above_the_bound_the_heap_serves(self, run, decoder, shape):
        x = torch.rand(*shape, 32)
        assert same(run(x), decoder(x))
        missed = run.stats()
        assert missed.too_large > 0
        x = torch.rand(4, 64, 32)
        assert same(run(x), decoder(x))
        assert run.stats().misses == missed.misses

    def test_a_run_allocates_nothing_but_its_outputs(self, run):
        x = torch.rand(3, 50, 32)
        seen = record(run, x)
        assert sorted(each.nbytes for each in seen.allocations) == [3 * 32 * 4, 3 * 50 * 100 * 4]

    def test_two_threads_of_torch_are_as_good(self, decoder):
        torch.set_num_threads(2)
        with bound(decoder, torch.rand(4, 64, 32)) as run:
            for x in shapes(10):
                assert same(run(x), decoder(x))
            assert run.stats().hits > 0

    def test_kwargs_and_results_of_any_form_pass_through(self):
        class Named(torch.nn.Module):
            def forward(self, x, *, scale):
                return {"y": x * scale, "n": 3}

        with bind_module(Named(), (torch.ones(5),), {"scale": 2.0}) as run:
            result = run(torch.ones(3), scale=4.0)
        assert result["n"] == 3
        assert result["y"].tolist() == [4.0] * 3


class TestHeldTensors:
    def test_outputs_held_over_a_hundred_calls_stay_what_they_were(self, run, decoder):
        inputs = list(shapes(100))
        held = [run(x) for x in inputs]
        assert all(same(y, decoder(x)) for x, y in zip(inputs, held, strict=True))
        assert run.stats().misses == 0

    def test_hidden_states_that_a_hook_keeps_are_never_overwritten(self, run, decoder):
        kept, copies = [], []

        def keep(module, args, output):
            kept.append(output)
            copies.append(output.clone())

        hook = decoder.blocks[0].register_forward_hook(keep)
        inputs = list(shapes(30))
        for x in inputs:
            assert same(run(x), decoder(x))
        hook.remove()
        assert all(same(*both) for both in zip(kept, copies, strict=True))

    def test_after_the_first_run_what_a_hook_keeps_is_taken_for_an_output(self, run, decoder):
        kept = []
        decoder.blocks[0].register_forward_hook(lambda *call: kept.append(call[2]))
        inputs = list(shapes(10))
        run(inputs[0])
        misses = run.stats().misses
        for x in inputs[1:]:
            run(x)
        stats = run.stats()
        assert stats.misses == misses
        assert (stats.arenas, stats.arenas_held) == (2, 1)
        kept.clear()
        assert run.stats().arenas_held == 0

    def test_a_view_of_a_hidden_state_holds_it_as_well(self, run, decoder):
        kept = []
        decoder.blocks[0].register_forward_hook(lambda *call: kept.append(call[2][0, :1]))
        x = torch.rand(4, 64, 32)
        run(x)
        before = kept[0].clone()
        for _ in range(5):
            run(torch.rand(4, 64, 32))
        assert same(kept[0], before)

    def test_an_exception_leaves_with_all_that_its_traceback_holds(self, run, decoder):
        class Stop(Exception):
            pass

        def stop(module, args, output):
            raise Stop

        hook = decoder.blocks[1].register_forward_hook(stop)
        x = torch.rand(4, 64, 32)
        with pytest.raises(Stop) as caught:
            run(x)
        hook.remove()
        held = frames_tensors(caught.tb)
        assert held
        copies = [each.clone() for each in held]
        for _ in range(3):
            y = torch.rand(4, 64, 32)
            assert same(run(y), decoder(y))
        assert all(same(*both) for both in zip(held, copies, strict=True))
        assert run.stats().misses == 0

    def test_a_failed_run_teaches_nothing_about_what_runs_keep(self, run, decoder):
        def stop(module, args, output):
            raise KeyError

        hook = decoder.blocks[1].register_forward_hook(stop)
        with pytest.raises(KeyError):
            run(torch.rand(4, 64, 32))
        hook.remove()
        gc.collect()
        before = run.stats().outputs
        run(torch.rand(4, 64, 32))
        assert run.stats().outputs - before == 2

    def test_gradients_flow_through_planned_runs(self, decoder):
        x = torch.rand(2, 8, 32)
        with torch.enable_grad():
            decoder(x)[0].sum().backward()
            expected = [each.grad.clone() for each in decoder.parameters()]
            decoder.zero_grad()
            with bound(decoder, torch.rand(4, 64, 32)) as run:
                losses = [run(x)[0].sum() for _ in range(3)]
                losses[0].backward()
        found = [each.grad for each in decoder.parameters()]
        assert all(same(*both) for both in zip(found, expected, strict=True))

    def test_held_arenas_keep_only_the_pages_of_what_lives(self):
        with bound(torch.nn.Sequential(Wide(), Wide()), torch.ones(1, 4 * MIB)) as run:
            kept = []
            run.module[0].register_forward_hook(lambda *call: kept.append(call[2][:, :1]))
            for _ in range(2):
                run(torch.ones(1, 4 * MIB))
            assert resident(kept[0]) <= 16 * MIB + 2 * 64 * 1024


class TestWhatIsNoLongerKept:
    """Its slot is used again, after some runs."""

    @pytest.fixture
    def stack(self):
        return torch.nn.Sequential(*(Wide() for _ in range(6)))

    def hits_of(self, run, x):
        before = run.stats().hits
        run(x)
        return run.stats().hits - before

    def test_after_a_hook_has_gone(self, stack):
        x, kept = torch.rand(1000), []
        with bound(stack, x) as run:
            usual = self.hits_of(run, x)
            hooks = [m.register_forward_hook(lambda *call: kept.append(call[2])) for m in stack]
            run(x)
            assert self.hits_of(run, x) < usual
            for each in hooks:
                each.remove()
            kept.clear()
            for _ in range(20):
                run(x)
            assert self.hits_of(run, x) == usual

    def test_after_a_step_with_gradients(self):
        module, x = Mlp(), torch.rand(20, 32)
        with bound(module, x) as run:
            usual = self.hits_of(run, x)
            with torch.enable_grad():
                run(x).sum().backward()
            for _ in range(20):
                run(x)
            assert self.hits_of(run, x) == usual

    def test_what_is_kept_in_every_run_costs_no_further_misses_or_arenas(self, stack):
        x, kept = torch.rand(1000), []
        with bound(stack, x) as run:
            stack[2].register_forward_hook(lambda *call: kept.append(call[2]))
            run(x)
            misses = run.stats().misses
            for _ in range(300):
                run(x)
            assert all(same(each, kept[0]) for each in kept)
            assert run.stats().arenas == 2
            assert run.stats().misses == misses

    def test_what_was_kept_when_it_was_tried_anew_outlives_the_plan(self, stack):
        x, kept = torch.rand(100_000), []
        run = bound(stack, x)
        stack[2].register_forward_hook(lambda *call: kept.append(call[2]))
        for _ in range(20):
            run(x)
        run.close()
        copies = [each.clone() for each in kept]
        filler = [torch.rand(100_000) for _ in range(50)]
        assert all(same(*both) for both in zip(kept, copies, strict=True))
        del filler


class Wide(torch.nn.Module):
    def forward(self, x):
        return (x + 1) * 2


def resident(tensor):
    """Bytes of memory in the mapping that holds a tensor."""
    address, inside = tensor.data_ptr(), False
    with open("/proc/self/smaps") as lines:
        for line in lines:
            first = line.split()[0]
            if "-" in first and not first.endswith(":"):
                start, end = (int(each, 16) for each in first.split("-"))
                inside = start <= address < end
            elif inside and first == "Rss:":
                return int(line.split()[1]) * 1024
    raise AssertionError("not mapped")


def frames_tensors(traceback):
    found = []
    while traceback:
        found += [v for v in traceback.tb_frame.f_locals.values() if isinstance(v, torch.Tensor)]
        traceback = traceback.tb_next
    return found


class TestLifetimes:
    def test_tensors_outlive_the_plan(self, decoder):
        kept = []
        decoder.blocks[0].register_forward_hook(lambda *call: kept.append(call[2]))
        run = bind_module(decoder, (torch.rand(4, 64, 32),))
        kept.clear()
        del run
        gc.collect()
        assert kept == []
        run = bind_without_the_hook(decoder, kept)
        outputs = run(torch.rand(4, 64, 32))
        copies = [each.clone() for each in (*outputs, *kept)]
        del run
        gc.collect()
        # Memory that was given back too early would now be somebody else's.
        filler = [torch.full((64, 1024), 7.0) for _ in range(50)]
        assert all(same(*both) for both in zip((*outputs, *kept), copies, strict=True))
        del outputs, filler
        kept.clear()

    def test_an_arena_goes_when_its_last_tensor_does(self):
        module, kept = torch.nn.Sequential(Wide(), Wide()), []
        run = bound(module, torch.ones(1, MIB))
        module[0].register_forward_hook(lambda *call: kept.append(call[2]))
        run(torch.ones(1, MIB))
        address = kept[0].data_ptr()
        assert is_mapped(address)
        run.close()
        assert is_mapped(address)
        kept.clear()
        assert not is_mapped(address)

    def test_it_may_be_freed_by_another_thread_after_the_plan(self):
        module, kept = torch.nn.Sequential(Wide(), Wide()), []
        run = bound(module, torch.ones(1, MIB))
        module[0].register_forward_hook(lambda *call: kept.append(call[2]))
        run(torch.ones(1, MIB))
        address = kept[0].data_ptr()
        run.close()
        thread = threading.Thread(target=kept.clear)
        thread.start()
        thread.join()
        assert not is_mapped(address)

    def test_closed_it_refuses_to_run_and_keeps_its_stats(self, run):
        run(torch.rand(1, 2, 32))
        run.close()
        run.close()
        assert run.stats().calls == 1
        with pytest.raises(InvalidArgument, match="bind its plan again"):
            run(torch.rand(1, 2, 32))

    def test_closing_it_within_a_run_ends_it_after_that_run(self, run, decoder):
        decoder.blocks[0].register_forward_hook(lambda *_: run.close())
        x = torch.rand(4, 64, 32)
        result = run(x)
        assert same(result, decoder(x))
        with pytest.raises(InvalidArgument):
            run(x)


def bind_without_the_hook(decoder, kept):
    hooks = dict(decoder.blocks[0]._forward_hooks)
    decoder.blocks[0]._forward_hooks.clear()
    run = bind_module(decoder, (torch.rand(4, 64, 32),))
    decoder.blocks[0]._forward_hooks.update(hooks)
    return run


def is_mapped(address):
    with open("/proc/self/maps") as lines:
        spans = [line.split()[0].split("-") for line in lines]
    return any(int(start, 16) <= address < int(end, 16) for start, end in spans)


class TestThreads:
    def test_two_threads_in_two_plans(self):
        work_in_threads([Decoder().eval(), Mlp().eval()])

    def test_two_threads_in_one_plan_have_an_arena_each(self, decoder):
        (run,) = work_in_threads([decoder, decoder], share=True)
        assert run.stats().misses == 0

    def test_a_module_that_allocates_in_threads_of_its_own(self):
        class Threaded(torch.nn.Module):
            def forward(self, x):
                results = [None, None]

                def work(index):
                    results[index] = torch.sin(x) + index

                threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
                for each in threads:
                    each.start()
                for each in threads:
                    each.join()
                return torch.cos(results[0]) + results[1]

        module = Threaded()
        with bound(module, torch.rand(100, 100)) as run:
            for n in (1, 50, 100):
                x = torch.rand(n, n)
                assert same(run(x), module(x))


def work_in_threads(modules, share=False):
    """Run each module in a thread of its own, at the same time, on many shapes."""
    x = torch.rand(4, 64, 32)
    runs = [bound(modules[0], x)] if share else [bound(each, x) for each in modules]
    barrier = threading.Barrier(len(modules))
    wrong = []

    def work(index):
        run, module = runs[index % len(runs)], modules[index]
        with torch.no_grad():
            barrier.wait()
            for each in shapes(50, seed=index):
                if not same(run(each), module(each)):
                    wrong.append(each.shape)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(modules))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong
    return runs


class TestNested:
    def test_a_planned_module_within_a_planned_one(self, decoder):
        class Outer(torch.nn.Module):
            def __init__(self, inner):
                super().__init__()
                self.inner = inner

            def forward(self, x):
                y, _ = self.inner(x.sin())
                return y.cos() + 1

        plain = Outer(decoder)
        with bound(decoder, torch.rand(4, 64, 32)) as inner:
            outer_module = Outer(decoder)
            outer_module.__dict__["inner"] = inner
            del outer_module._modules["inner"]
            with bound(outer_module, torch.rand(4, 64, 32)) as outer:
                for x in shapes(20):
                    assert same(outer(x), plain(x))
                assert outer.stats().misses == inner.stats().misses == 0
                assert inner.stats().hits > 0

    def test_a_plan_within_itself(self, decoder):
        runs = []

        class Twice(torch.nn.Module):
            def forward(self, x, depth=1):
                y = x * 2
                if depth and runs:
                    y = y + runs[0](x, depth - 1)
                return y + x

        plain = Twice()
        run = bound(plain, torch.rand(10, 10))
        runs.append(run)
        x = torch.rand(5, 5)
        expected = x * 2 + (x * 2 + x) + x
        assert torch.equal(run(x), expected)
        runs.clear()

    def test_outputs_of_runs_in_storage_lie_in_the_store(self, run):
        with Arena(64 * MIB, "test") as arena:
            y, mean = run(torch.rand(2, 30, 32))
        for each in (y, mean):
            assert locate(each.data_ptr(), each.nbytes)[0] is arena


class TestMisses:
    def test_each_kind_is_logged_once(self, run, caplog):
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                run(torch.rand(9, 64, 32))
        (record,) = caplog.records
        assert "larger than their slots" in record.getMessage()

    def test_as_errors_they_name_what_this_run_missed(self):
        class Loop(torch.nn.Module):
            def forward(self, x, times):
                for _ in range(times):
                    x = torch.sin(x)
                return x

        with bound(Loop(), torch.rand(1000), 5, on_miss="error") as run:
            with pytest.raises(AllocationMissed, match="more than were recorded"):
                run(torch.rand(2000), 8)
            with pytest.raises(AllocationMissed) as caught:
                run(torch.rand(2000), 5)
        assert "above the bounds" in str(caught.value)
        assert "more than were recorded" not in str(caught.value)
        del caught

    def test_as_errors_they_drop_the_result(self, decoder):
        with bound(decoder, torch.rand(1, 8, 32), on_miss="error") as run:
            with pytest.raises(AllocationMissed) as caught:
                run(torch.rand(9, 64, 32))
            assert not [each for each in frames_tensors(caught.tb) if each.shape == (9, 64, 100)]
            del caught

    def test_as_errors_they_end_the_run(self, decoder):
        with bound(decoder, torch.rand(2, 8, 32), on_miss="error") as run:
            run(torch.rand(2, 8, 32))
            with pytest.raises(AllocationMissed, match="above the bounds"):
                run(torch.rand(20, 8, 32))
            x = torch.rand(2, 8, 32)
            assert same(run(x), decoder(x))

    def test_more_allocations_than_recorded_are_counted_and_right(self):
        class Loop(torch.nn.Module):
            def forward(self, x, times):
                for _ in range(times):
                    x = torch.sin(x)
                return x

        module = Loop()
        with bound(module, torch.rand(100), 3) as run:
            assert same(run(torch.ones(100), 20), module(torch.ones(100), 20))
            stats = run.stats()
            assert stats.hits + stats.unplanned + stats.outputs == 20
            assert stats.displaced > 0

    def test_another_order_of_allocations_is_still_right(self):
        class Either(torch.nn.Module):
            def forward(self, x):
                if len(x) > 50:
                    return (torch.sin(x) + 1).sum() * 2
                y = torch.outer(x, x)
                z = torch.outer(x, x + 1)
                return (y @ z + y).sum(0) * torch.cos(z).mean()

        module = Either()
        with bound(module, torch.rand(100)) as run:
            for n in (100, 50, 10, 1, 70):
                x = torch.rand(n)
                assert same(run(x), module(x))
            assert run.stats().displaced > 0

    def test_bf16_kernels_that_switch_algorithm(self):
        torch.manual_seed(0)
        module = Decoder(dtype=torch.bfloat16).eval()
        with bound(module, torch.rand(4, 64, 32, dtype=torch.bfloat16)) as run:
            for x in shapes(40):
                x = x.bfloat16()
                assert same(run(x), module(x))
            stats = run.stats()
            assert stats.hit_bytes > 10 * stats.miss_bytes


class TestInterrupts:
    """A signal's exception, at the worst moment."""

    def test_after_the_first_step_of_a_call(self, run, decoder):
        enter = run._enter

        def interrupted(number, order):
            assert enter(number, order) == 0
            raise KeyboardInterrupt

        run._enter = interrupted
        with pytest.raises(KeyboardInterrupt):
            run(torch.rand(1, 2, 32))
        run._enter = enter
        assert run._depth() == 0
        x = torch.rand(3, 40, 32)
        assert same(run(x), decoder(x))
        assert run.stats().arenas == 1

    def test_after_the_last_step_of_a_call(self, run):
        leave = run._leave

        def interrupted(depth, whole):
            leave(depth, whole)
            if whole:
                raise KeyboardInterrupt

        run._leave = interrupted
        with pytest.raises(KeyboardInterrupt):
            run(torch.rand(1, 2, 32))
        assert run._depth() == 0
        assert run.stats().calls == 1

    def test_before_a_recording_knows_that_it_has_begun(self, monkeypatch):
        enter = Recorder.enter

        def interrupted(self):
            enter(self)
            raise KeyboardInterrupt

        monkeypatch.setattr(Recorder, "enter", interrupted)
        with pytest.raises(KeyboardInterrupt):
            record(torch.empty, 5)
        assert depth_in(native.library())() == 0

    def test_what_was_not_ended_ends_with_what_is_around_it(self, run, decoder):
        """A second exception, before the first one's leave."""
        lost = torch.nn.Linear(32, 32)
        with bound(lost, torch.rand(8, 32)) as inner:

            def leave_it_open(*_):
                inner._enter(inner._number, 0)
                Recorder(100).enter()

            hook = decoder.blocks[0].register_forward_hook(leave_it_open)
            x = torch.rand(3, 40, 32)
            with pytest.raises(RuntimeError, match="allocate"):
                run(x)  # past the limit of a recording that nobody ends
            hook.remove()
            assert run._depth() == 0
            assert same(run(x), decoder(x))
            assert inner.stats().calls == 1


class TestMemory:
    def test_arena_and_outputs_take_no_more_than_the_plan(self):
        class Late(torch.nn.Module):
            """Its output is as large as all that came before."""

            def forward(self, x):
                y = (torch.sin(x) + 1).sum()
                return x * y

        module, x = Late(), torch.rand(4 * MIB)
        with bound(module, x) as run:
            for _ in range(3):
                run(x)
            stats = run.stats()
            assert stats.planned_nbytes == record(module, x).problem().lower_bound
            assert stats.peak_nbytes <= stats.planned_nbytes + 128 * 1024

    def test_so_they_do_with_many_outputs_among_what_is_computed(self):
        class Layers(torch.nn.Module):
            def forward(self, x):
                found = []
                for _ in range(8):
                    x = (x.sin() + 1) * x
                    found.append(x.cos())
                return found

        with bound(Layers(), torch.rand(MIB)) as run:
            for _ in range(3):
                run(torch.rand(MIB))
            stats = run.stats()
            assert stats.peak_nbytes <= stats.planned_nbytes + 3 * 9 * PAGE

    def test_at_the_bounds_outputs_find_the_memory_of_the_last_ones(self):
        """Their scalars lie in the arena, each between two of the outputs' places."""

        class Many(torch.nn.Module):
            def forward(self, x):
                return [x + i for i in range(20)]

        x = torch.rand(100_000)
        with bound(Many(), x) as run:
            run(x)
            run(x)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(10):
                run(x)
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        assert faults < 10 * 20 * x.nbytes / PAGE / 10

    def test_the_memory_of_a_dead_output_is_the_next_ones(self):
        module = torch.nn.Sequential(Wide(), Wide())
        with bound(module, torch.rand(4 * MIB)) as run:
            addresses = {run(torch.rand(MIB)).data_ptr() for _ in range(3)}
            assert len(addresses) == 1
            assert run.stats().committed_nbytes >= 4 * MIB

    def test_idle_memory_goes_before_a_run_exceeds_the_plan(self):
        module = torch.nn.Sequential(Wide(), Wide())
        with bound(module, torch.rand(4 * MIB)) as run:
            held = [run(torch.rand(MIB)) for _ in range(20)]
            held.clear()
            assert run.stats().committed_nbytes > run.layout.peak
            run(torch.rand(4 * MIB))
            assert run.stats().committed_nbytes <= run.layout.peak + MIB

    def test_small_runs_give_nothing_back(self):
        module = torch.nn.Sequential(Wide(), Wide())
        with bound(module, torch.rand(4 * MIB)) as run:
            run(torch.rand(64 * 1024))
            before = run.stats().committed_nbytes
            run(torch.rand(64 * 1024))
            assert run.stats().committed_nbytes == before > 0


def test_without_addresses_for_an_arena_the_heap_serves_a_run():
    assert (
        output_of("""
import resource, torch
torch.set_num_threads(1)
torch.set_grad_enabled(False)
from onecopy.errors import AllocationMissed
from onecopy.planner.running.bind import bind_module
from tests.planner.running.models import Decoder, same

decoder, x = Decoder().eval(), torch.rand(4, 64, 32)
run = bind_module(decoder, (x,))
strict = bind_module(decoder, (x,), on_miss="error")
expected = decoder(x)
with open("/proc/self/statm") as file:
    pages = int(file.read().split()[0])
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (500 << 20), hard))
assert same(run(x), expected)
stats = run.stats()
assert stats.unmapped == stats.misses > 0 == stats.hits
try:
    strict(x)
except AllocationMissed as error:
    assert "no address space" in str(error)
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
assert same(run(x), expected)
assert run.stats().misses == stats.misses
assert same(strict(x), expected)
print("ok")
""")
        == "ok"
    )


def test_a_forked_child_runs_on_and_reads_on():
    assert (
        output_of("""
import os, sys, torch
torch.set_num_threads(1)
torch.set_grad_enabled(False)
from onecopy.planner.running.bind import bind_module
from tests.planner.running.models import Decoder, same

decoder, kept = Decoder().eval(), []
run = bind_module(decoder, (torch.rand(4, 64, 32),))
x = torch.rand(3, 40, 32)
expected = decoder(x)
hook = decoder.blocks[0].register_forward_hook(lambda *call: kept.append(call[2]))
run(x)
hook.remove()
copy = kept[0].clone()
pid = os.fork()
if pid == 0:
    try:
        assert same(kept[0], copy)
        kept[0].fill_(3)
        assert same(run(x), expected)
        kept.clear()
        assert same(run(x), expected)
        os._exit(0)
    except BaseException as error:
        print("child:", repr(error), file=sys.stderr, flush=True)
        os._exit(1)
assert os.waitpid(pid, 0)[1] == 0
assert same(kept[0], copy)
assert same(run(x), expected)
print("ok")
""")
        == "ok"
    )


# ---- small models at random ----

OPERATIONS = {
    "linear": lambda m, xs: [*xs, m(xs[-1])],
    "gelu": lambda m, xs: [*xs, torch.nn.functional.gelu(xs[-1])],
    "softmax": lambda m, xs: [*xs, torch.softmax(xs[-1], -1)],
    "add": lambda m, xs: [*xs, xs[-1] + xs[len(xs) // 2]],
    "outer": lambda m, xs: [*xs, (xs[-1] @ xs[0].transpose(-1, -2)) @ xs[-1]],
    "view": lambda m, xs: [*xs, xs[-1].transpose(0, 1).contiguous().transpose(0, 1)],
    "inplace": lambda m, xs: [*xs[:-1], xs[-1].clone().mul_(2)],
    "norm": lambda m, xs: [*xs, torch.nn.functional.layer_norm(xs[-1], (16,))],
    "drop": lambda m, xs: [xs[0], xs[-1]],
    "sort": lambda m, xs: [*xs, torch.sort(xs[-1], 0).values],
    "sum": lambda m, xs: [*xs, xs[-1] * xs[-1].sum(0, keepdim=True)],
}


class Random(torch.nn.Module):
    def __init__(self, program, returns):
        super().__init__()
        self.linear = torch.nn.Linear(16, 16)
        self.program, self.returns, self.held = program, returns, []

    def forward(self, x):
        values = [x]
        for name, hold in self.program:
            values = OPERATIONS[name](self.linear, values)
            if hold:
                self.held.append((values[-1], values[-1].clone()))
        return tuple(values[-self.returns :])


programs = st.lists(
    st.tuples(st.sampled_from(sorted(OPERATIONS)), st.booleans()), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(
    programs,
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 24)), min_size=1, max_size=6),
)
def test_a_random_model_gives_what_it_gives_and_keeps_what_is_held(program, returns, sizes):
    """Bounds 4 and 16: some shapes are above them. What it holds changes from run to run."""
    module = Random([(name, False) for name, _ in program], returns)
    with torch.no_grad(), bind_module(module, (torch.rand(4, 16, 16),)) as run:
        outputs = []
        for index, (b, s) in enumerate(sizes):
            x = torch.rand(b, s, 16)
            module.program = [(name, hold and index % 2 == 0) for name, hold in program]
            outputs.append((run(x), module(x)))
        assert all(same(*both) for both in outputs)
        assert all(same(*both) for both in module.held)
        stats = run.stats()
        within = all(b <= 4 and s <= 16 for b, s in sizes)
        assert not (within and not any(hold for _, hold in program) and stats.misses)


def test_it_imports_no_store():
    code = """
        import sys
        import onecopy.planner.running.bind
        print([name for name in sys.modules if name.startswith("onecopy.store")])
    """
    assert output_of(code) == "[]"
    assert "onecopy" in sys.modules


def test_it_is_neither_copied_nor_pickled_and_says_what_to_do(run):
    for take in (copy.deepcopy, pickle.dumps):
        with pytest.raises(InvalidArgument, match=r"Plan\.save"):
            take(run)
