"""The slower way: which results move into the arena, and which must not."""

import warnings

import pytest
import torch

from onecopy.native import Unavailable, allocator
from onecopy.tensors.arena import Arena, SlowStorageWarning, locate


@pytest.fixture
def arena(monkeypatch):
    def refuse():
        raise Unavailable("this test refuses it")

    monkeypatch.setattr(allocator, "install", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlowStorageWarning)
        arena = Arena(64 << 20, "test")
    yield arena
    arena.close()


def inside(tensor):
    return locate(tensor.data_ptr(), tensor.nbytes) is not None


def test_views_of_what_lies_outside_stay_there(arena):
    outside = torch.arange(10.0)
    with arena:
        view, in_place = outside[2:5], outside.add_(1)
    assert not inside(view)
    assert in_place.data_ptr() == outside.data_ptr()
    assert view.data_ptr() == outside.data_ptr() + 8


def test_results_that_share_a_storage_share_it_after_the_move(arena):
    with arena:
        whole = torch.arange(10.0)
        parts = whole.split(5)
    assert inside(whole)
    parts[1].fill_(7)
    assert (whole[5:] == 7).all()


def test_literals_and_strided_results_move(arena):
    with arena:
        literal = torch.tensor([1.0, 2.0])
        strided = torch.empty_strided((3, 4), (1, 3)).fill_(2)
    assert inside(literal)
    assert literal.tolist() == [1.0, 2.0]
    assert inside(strided)
    assert strided.stride() == (1, 3)


def test_modules_train_as_ever(arena):
    torch.manual_seed(0)
    with arena:
        model = torch.nn.Linear(4, 2)
        optimizer = torch.optim.Adam(model.parameters())
        loss = model(torch.ones(3, 4)).square().sum()
        loss.backward()
        optimizer.step()
    assert all(inside(each) for each in model.parameters())
    torch.manual_seed(0)
    other = torch.nn.Linear(4, 2)
    optimizer = torch.optim.Adam(other.parameters())
    other(torch.ones(3, 4)).square().sum().backward()
    optimizer.step()
    assert torch.equal(model.weight, other.weight)
    assert torch.equal(model.weight.grad, other.weight.grad)


def test_what_cannot_move_is_left_alone(arena):
    with arena:
        sparse = torch.eye(3).to_sparse()
        empty = torch.empty(0)
        meta = torch.empty(3, device="meta")
        conjugate = torch.ones(2, dtype=torch.complex64).conj()
    assert torch.equal(sparse.to_dense(), torch.eye(3))
    assert empty.numel() == 0
    assert meta.device.type == "meta"
    assert conjugate.is_conj()
