"""Binding runs a module; afterwards it is as it was."""

import pytest
import torch

from onecopy.planner.running.bind import bind_module
from onecopy.planner.running.unchanged import copies_of, unchanged


class Counter(torch.nn.Module):
    """Writes to a buffer in each run, and makes another one longer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("table", torch.tensor([1.0, float("nan")]))
        self.register_buffer("history", torch.zeros(0, 4))
        self.register_buffer("late", None)

    def forward(self, x):
        self.calls += 1
        self.history = torch.cat([self.history, x])
        if self.late is None:
            self.late = x.sum()
        return self.history * 2


def test_buffers_hold_what_they_held():
    module = torch.nn.Sequential(Counter())
    counter, version = module[0], module[0].table._version
    with unchanged(module):
        module(torch.ones(3, 4))
    assert counter.calls == 0
    assert counter.history.shape == (0, 4)
    assert counter.late is None
    assert counter.table._version == version  # nobody wrote to it, NaN or not


def test_they_do_so_after_a_failure_too():
    module = Counter()
    with pytest.raises(RuntimeError), unchanged(module):
        module(torch.ones(3, 5))
    assert module.calls == 0


def test_buffers_that_are_shared_or_sparse_or_of_inference_are_fine():
    module = torch.nn.Sequential(Counter(), Counter())
    module[1].calls = module[0].calls
    module.register_buffer("sparse", torch.eye(3).to_sparse())
    with torch.inference_mode():
        module.register_buffer("made", torch.ones(3))
    with unchanged(module):
        module[1](torch.ones(1, 4))
    assert module[0].calls is module[1].calls
    assert module[0].calls == 0


def test_functions_have_none():
    with unchanged(torch.sin):
        torch.sin(torch.ones(1))


def test_arguments_are_never_written_to():
    class Cached(torch.nn.Module):
        def forward(self, x, cache):
            cache["k"].add_(x)
            return cache["k"] * 2

    cache = {"k": torch.zeros(3)}
    with torch.no_grad(), bind_module(Cached(), (torch.ones(3), cache)) as run:
        assert cache["k"].tolist() == [0.0] * 3
        run(torch.ones(3), cache)
    assert cache["k"].tolist() == [1.0] * 3


def test_copies_of_one_tensor_are_one():
    x = torch.ones(3, requires_grad=True)
    (one, two), named = copies_of(([x, x], {"n": 3}))
    assert one is two
    assert one is not x
    assert named == {"n": 3}
