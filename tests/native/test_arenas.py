"""What the library says of an arena."""

import ctypes

import torch

from onecopy.native import arenas
from onecopy.tensors.arena import Arena

MIB = 1 << 20


def test_facts_are_of_what_lives_in_it():
    with Arena(16 * MIB, "test") as arena:
        x = torch.ones(MIB)
        facts = arena.facts
    assert isinstance(facts, arenas.Facts)
    assert (facts.nbytes, facts.blocks, facts.used) == (16 * MIB, 1, 4 * MIB)
    del x


def test_there_are_none_of_one_that_has_ended():
    assert arenas.facts_of(ctypes.c_uint64(1 << 40)) is None
