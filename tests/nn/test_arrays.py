"""Arrays and tensors go in, and arrays of one's own come out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from onecopy.errors import InvalidArgument, UnsupportedOperation
from onecopy.nn import arrays


@pytest.fixture
def context(shared):
    with shared("affine").context() as context:
        yield context


@pytest.mark.parametrize(
    "given",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.arange(12, dtype=np.int64).reshape(3, 4)[:, ::2],
        np.asfortranarray(np.ones((2, 3))),
        torch.arange(6, dtype=torch.float16).reshape(3, 2).t(),
        torch.ones(2, 2, requires_grad=True),
        [[1, 2], [3, 4]],
        np.float64(3),
    ],
    ids=["plain", "strided", "fortran", "a tensor", "with a gradient", "lists", "a number"],
)
def test_what_comes_out_has_the_shape_and_type_of_what_went_in(context, given) -> None:
    arrays.put(context, [given])
    context.compute()
    result = arrays.take(context)[0]
    expected = np.asarray(given.detach() if isinstance(given, torch.Tensor) else given)
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    assert np.array_equal(result, 2 * expected)


def test_results_stay_when_the_context_computes_again(context) -> None:
    arrays.put(context, [np.ones(2, np.uint8)])
    context.compute()
    first = arrays.take(context)[0]
    arrays.put(context, [np.full(2, 5, np.uint8)])
    context.compute()
    assert first.tolist() == [2, 2]
    assert first.flags.writeable


def test_fewer_inputs_than_before_are_all_there_are(context) -> None:
    arrays.put(context, [np.ones(1)])
    arrays.put(context, [])
    assert context._space.inputs() == []


def test_one_array_is_not_taken_for_a_list_of_its_rows(context) -> None:
    with pytest.raises(InvalidArgument, match=r"graph.run\(\[array\]\)"):
        arrays.put(context, np.ones((1, 4)))


@pytest.mark.parametrize("kind", [np.complex64, np.bool_, np.int8, ">f4"])
def test_types_that_the_standard_lacks_are_refused(context, kind) -> None:
    with pytest.raises(UnsupportedOperation, match="WASI-NN has no tensors"):
        arrays.put(context, [np.zeros(1, kind)])
