"""What a guest's functions need of models is what graphs, contexts and brokers have."""

from __future__ import annotations

import inspect

import pytest

from onecopy import nn
from onecopy.nn.broker import Broker
from onecopy.nn.guest import loader


@pytest.mark.parametrize(
    ("needed", "kind"),
    [
        (loader.Context, nn.Context),
        (loader.Graph, nn.Graph),
        (loader.Loader, nn.Host),
        (loader.Loader, Broker),
    ],
    ids=["contexts", "graphs", "hosts", "brokers"],
)
def test_every_method_is_there_and_takes_what_it_is_given(needed, kind) -> None:
    methods = {
        name: each
        for name, each in vars(needed).items()
        if inspect.isfunction(each) and name[0] != "_"
    }
    assert methods
    for name, each in methods.items():
        given = [None] * len(inspect.signature(each).parameters)
        inspect.signature(getattr(kind, name)).bind(*given)


def test_a_graph_says_what_it_is(shared) -> None:
    assert shared("affine").what == "tensors"
    assert shared("counting").what == "text"
