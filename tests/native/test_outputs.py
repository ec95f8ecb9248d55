"""Memfds of outputs, found by an address and handed over."""

import os

import pytest
import torch

from onecopy.native import outputs
from onecopy.planner.running.bind import bind_module
from onecopy.segments.region import PAGE


@pytest.fixture
def y():
    with torch.no_grad(), bind_module(torch.sin, (torch.rand(1000),), output="bound") as run:
        yield run(torch.ones(500))


def test_an_address_finds_its_output_where_it_begins_and_nowhere_else(y):
    assert outputs.nbytes_at(y.data_ptr()) == 2000
    assert outputs.nbytes_at(y.data_ptr() + 4) == 0
    assert outputs.nbytes_at(0) == outputs.nbytes_at(2**64 - 1) == 0
    assert outputs.nbytes_at(torch.ones(500).data_ptr()) == 0


def test_detached_its_memfd_is_the_callers_and_its_content_stays(y):
    before = y.clone()
    fd = outputs.detach(y.data_ptr())
    try:
        assert os.pread(fd, 2000, PAGE) == before.numpy().tobytes()
        y.fill_(7)
        assert os.pread(fd, 2000, PAGE) == before.numpy().tobytes()
    finally:
        os.close(fd)
    assert outputs.detach(y.data_ptr()) is None
    assert outputs.nbytes_at(y.data_ptr()) == 0


def test_what_is_no_output_has_no_memfd(y):
    assert outputs.detach(torch.ones(5).data_ptr()) is None
