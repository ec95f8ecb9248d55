"""Planned runs in any order, with any of their tensors held: none ever changes or overlaps another.

One state machine over all kinds of outputs. Runs are within the bounds and above them, of two
plans, some of which fail half-way; hooks keep tensors, and let them go; plans are closed and made
anew while their outputs live; what is held is written to.
"""

import itertools
from contextlib import suppress

import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from onecopy.planner.running.bind import bind_module

BOUND = 48


class Stopped(Exception):
    pass


class Layers(torch.nn.Module):
    """Two outputs and some tensors between; on demand it keeps some of these, or stops."""

    def __init__(self):
        super().__init__()
        self.kept, self.keeps, self.stops = [], False, False

    def forward(self, x):
        for _ in range(3):
            x = x.sin()  # what it was before dies, unless it is kept
            x = x * 2
            self.keep(x)
        z = torch.outer(x[:, 0], x[0]) + 1
        self.keep(z[:1])
        if self.stops:
            raise Stopped
        return (x + 1).cos(), z.sum(0)

    def keep(self, x):
        if self.keeps:
            self.kept.append(x)


class Held:
    """A tensor and what it is to hold; written to, it holds that."""

    def __init__(self, tensor, expected):
        self.tensor, self.expected = tensor, expected

    @property
    def extent(self):
        storage = self.tensor.untyped_storage()
        return storage.data_ptr(), storage.data_ptr() + storage.nbytes()


class Machine(RuleBasedStateMachine):
    plans = ()

    @initialize(outputs=st.tuples(*[st.sampled_from(["exact", "bound", "pool"])] * 2))
    def bind_two(self, outputs):
        torch.manual_seed(0)
        self.modules = [Layers(), Layers()]
        self.outputs = outputs
        self.plans = [self.bind(index) for index in range(2)]
        self.held = []

    def bind(self, index):
        x = torch.rand(BOUND, 2 * BOUND)
        with torch.no_grad():
            return bind_module(self.modules[index], (x,), output=self.outputs[index])

    @rule(
        which=st.integers(0, 1),
        shape=st.tuples(st.integers(1, BOUND + 4), st.integers(1, 2 * BOUND + 8)),
        hold=st.lists(st.integers(0, 1), max_size=2),
        keeps=st.booleans(),
        stops=st.sampled_from([False, False, False, True]),
    )
    def run(self, which, shape, hold, keeps, stops):
        module = self.modules[which]
        x = torch.rand(shape)
        module.keeps, module.stops = keeps, stops
        expected = self.call(module, module, x)
        found = self.call(module, self.plans[which], x)
        module.keeps = module.stops = False
        pairs = list(zip(found, expected, strict=True))
        assert all(torch.equal(*both) for both in pairs)
        results = 0 if stops else 2
        chosen = [both for index, both in enumerate(pairs[:results]) if index in hold]
        self.held += [Held(*both) for both in chosen + pairs[results:]]

    def call(self, module, function, x):
        """Return what it returns, if it does, and what the module has kept."""
        results = ()
        with torch.no_grad(), suppress(Stopped):
            results = function(x)
        kept, module.kept = module.kept, []
        return [*results, *kept]

    @precondition(lambda self: self.plans and self.held)
    @rule(chance=st.randoms(use_true_random=False), count=st.integers(1, 8))
    def drop(self, chance, count):
        for _ in range(min(count, len(self.held))):
            self.held.pop(chance.randrange(len(self.held)))

    @precondition(lambda self: self.plans and self.held)
    @rule(chance=st.randoms(use_true_random=False), value=st.integers(0, 9))
    def write(self, chance, value):
        """Views of one tensor see it: all that share its memory are to hold the same from now."""
        chosen = chance.choice(self.held)
        chosen.tensor.fill_(value)
        for each in self.held:
            if each.extent == chosen.extent:
                each.expected = each.tensor.clone()

    @precondition(lambda self: self.plans)
    @rule(which=st.integers(0, 1))
    def make_anew(self, which):
        self.plans[which].close()
        self.plans[which] = self.bind(which)

    @invariant()
    def nothing_has_changed(self):
        if self.plans:
            assert all(torch.equal(each.tensor, each.expected) for each in self.held)

    @invariant()
    def nothing_overlaps(self):
        if self.plans:
            extents = sorted({each.extent for each in self.held})
            assert all(one[1] <= other[0] for one, other in itertools.pairwise(extents))

    def teardown(self):
        for plan in self.plans:
            plan.close()
        self.plans = ()
        self.held = []


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
