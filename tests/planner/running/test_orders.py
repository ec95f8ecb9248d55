"""Runs that allocate in another order than the recorded one, because of their shape."""

import threading

import pytest
import torch

from onecopy.planner import bind_module
from onecopy.planner.running.layout import Layout, Slot
from onecopy.planner.running.orders import Orders, _has_room
from onecopy.planner.running.recording import record
from tests.planner.running.models import same


class Alone(torch.nn.Module):
    """One row takes another way than many do, as it is with kernels of a convolution."""

    def __init__(self, columns=5000):
        super().__init__()
        self.last = torch.nn.Linear(32, columns)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        if len(x) == 1:
            return self.last(x * 2)
        for _ in range(4):
            x = torch.sin(x) + x.mean()
        return self.last(x)


class Growing(torch.nn.Module):
    """Each length has an order of its own."""

    def forward(self, x):
        for _ in range(len(x)):
            x = torch.sin(x) + 1
        return x


def bound(module, *inputs, **options):
    return bind_module(module, inputs, **options)


def alone(columns=5000, **options):
    return bound(Alone(columns), torch.rand(8, 32), **options)


def of(n):
    return torch.rand(n, 32)


def test_the_third_call_and_all_later_ones_go_as_recorded():
    with alone() as run:
        held = [run(of(1)) for _ in range(2)]
        before = run.stats()
        held += [run(of(1)) for _ in range(30)]
        after = run.stats()
        assert (before.orders, after.orders) == (2, 2)
        assert after.displaced == before.displaced
        assert after.outputs == before.outputs + 30
        assert after.arenas_held == before.arenas_held
        assert after.misses == 0


@pytest.mark.parametrize("output", ["exact", "bound", "pool"])
def test_results_are_the_modules_whatever_the_order(output):
    with alone(output=output) as run:
        held = []
        for n in (8, 1, 1, 3, 1, 1, 8, 2, 1):
            x = of(n)
            held.append((run(x), run.module(x)))
        assert all(same(one, other) for one, other in held)


def test_bound_outputs_have_their_address_in_each_order():
    with alone(output="bound") as run:
        first = run(of(8)).data_ptr()
        for _ in range(2):
            run(of(1))
        assert {run(of(n)).data_ptr() for n in (1, 8, 1, 3)} == {first}


def test_a_pool_has_the_outputs_of_each_order():
    with alone(output="pool") as run:
        held = [run(of(1)) for _ in range(5)]
        assert run.pool_stats().outputs == 3
        del held


def test_a_call_is_recorded_on_the_way():
    with alone() as run:
        run.module.calls = 0
        for _ in range(5):
            run(of(1))
        assert run.module.calls == 5


def test_another_shape_with_an_order_that_is_known_is_recorded_no_more():
    class Wide(Alone):
        def forward(self, x):
            return super().forward(x[:, :32])

    with bound(Wide(), torch.rand(8, 40)) as run:
        for width in (40, 40, 39):
            run(torch.rand(1, width))
        before = run.stats()
        kept = run(torch.rand(1, 39))
        after = run.stats()
        assert (after.orders, after.outputs) == (2, before.outputs + 1)
        del kept


def test_a_call_with_gradients_is_of_its_own_kind():
    """What it keeps for the way back has no room among the outputs."""
    with alone() as run:
        with torch.enable_grad():
            for _ in range(3):
                run(of(1)).sum().backward()
        assert run.stats().orders == 1
        for _ in range(3):
            x = of(1)
            assert same(run(x), run.module(x))
        assert run.stats().orders == 2


def test_there_is_an_end_to_the_orders_of_a_plan():
    module = Growing()
    with bound(module, of(40)) as run:
        for _ in range(3):
            for n in range(40, 0, -1):
                x = of(n)
                assert same(run(x), module(x))
        assert run.stats().orders == 16
        assert run.stats().misses == 0


def test_where_each_shape_has_its_own_not_all_are_recorded(monkeypatch):
    recorded = []

    def counted(function):
        recorded.append(function)
        return record(function)

    with bound(Growing(), of(64)) as run:
        monkeypatch.setattr("onecopy.planner.running.orders.record", counted)
        for n in [*range(1, 61)] * 3:
            run(of(n))
    assert len(recorded) == 32


def test_a_call_that_fails_when_it_is_recorded_fails_as_ever():
    class Failing(Alone):
        fails = False

        def forward(self, x):
            y = super().forward(x)
            if self.fails:
                raise ValueError("as ever")
            return y

    with bound(Failing(), of(8)) as run:
        run(of(1))
        run.module.fails = True
        with pytest.raises(ValueError, match="as ever"):
            run(of(1))
        run.module.fails = False
        for _ in range(2):
            x = of(1)
            assert same(run(x), run.module(x))
        assert run.stats().orders == 2


def test_what_needs_more_than_the_plan_has_is_not_added():
    class Hungry(Alone):
        def forward(self, x):
            return super().forward(torch.outer(x[0], x[0]).repeat(50, 1)[: len(x)])

    class Either(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.few, self.many = Hungry(10), Alone(10)

        def forward(self, x):
            return self.few(x) if len(x) == 1 else self.many(x)

    with bound(Either(), of(8)) as run:
        for _ in range(4):
            x = of(1)
            assert same(run(x), run.module(x))
        assert run.stats().orders == 1


def test_outputs_larger_than_their_places_are_not_added():
    class Turned(torch.nn.Module):
        def forward(self, x):
            if len(x) == 1:
                return x.repeat(1, 2) + float(x[0, 0] * 2), x.sum()
            return (x + 1).sum(), x + 2

    module = Turned()
    with bound(module, of(8), output="bound") as run:
        for _ in range(4):
            x = of(1)
            assert same(run(x), module(x))
        stats = run.stats()
        assert (stats.orders, stats.unplaced) == (1, 0)


@pytest.mark.parametrize(
    ("slots", "peak", "fits"),
    [
        ([(0, 128, 0), (0, 64, 1)], 192, True),
        ([(0, 128, 0)], 128, True),
        ([(0, 192, 0), (192, 64, 1)], 256, False),  # more than the plan together
        ([(0, 64, 0), (64, 128, 1)], 192, False),  # an output larger than its place
        ([(0, 64, 1), (64, 64, 2)], 128, False),  # one more
    ],
)
def test_an_order_has_room_where_the_plan_has_it(slots, peak, fits):
    plan = Layout((Slot(0, 64, 1), Slot(64, 128, 0)), peak=192, lower_bound=192)
    other = Layout(tuple(Slot(*each) for each in slots), peak, lower_bound=peak)
    assert _has_room(plan, other) is fits


def test_arguments_of_any_form_tell_calls_apart():
    class Said(torch.nn.Module):
        def forward(self, x, how, limit=3, function=None):
            for _ in range(how["times"]):
                x = torch.sin(x) + limit
            return x * 2

    module = Said()
    with bound(module, of(8), {"times": 5}) as run:
        for times in (5, 2, 2, 2, 3, 5):
            x = of(4)
            assert same(
                run(x, {"times": times}, limit=4, function=len), module(x, {"times": times}, 4)
            )
        assert run.stats().orders == 2  # Three times was there once only.


def test_two_threads_may_learn_at_once():
    with alone() as run:
        wrong = []

        def work():
            with torch.no_grad():
                for n in (1, 1, 8, 1, 1, 3) * 5:
                    x = of(n)
                    if not same(run(x), run.module.last(x * 2) if n == 1 else run.module(x)):
                        wrong.append(n)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert not wrong
        assert run.stats().misses == 0


def test_no_more_kinds_of_calls_are_remembered_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr("onecopy.planner.running.orders._CALLS", 2)
    orders = Orders(None, None)
    for n in range(4):
        orders.note((of(n),), {}, None)
    assert len(orders.known) == 2
    orders.note((of(0),), {}, 3)
    assert orders.of((of(0),), {}) == 3
    assert orders.of((of(3),), {}) == 0
