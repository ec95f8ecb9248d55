"""Contexts of components: inputs and outputs by name, or by number."""

from __future__ import annotations

from array import array

import pytest

from onecopy import nn
from onecopy.errors import InvalidArgument, UnsupportedOperation
from onecopy.nn.guest.component_running import Running, Tensor
from tests.nn.arithmetic import BACKEND, write
from tests.nn.service.ending import wait_until_ended


@pytest.fixture
def running(tmp_path):
    model = nn.Model(what=str(write(tmp_path / "double", "affine")), backend=BACKEND)
    with nn.Host({"double": model}, idle_seconds=0) as host, host.load("double") as graph:
        yield Running(graph)
    wait_until_ended()


def single(*numbers: float) -> Tensor:
    return Tensor([1, len(numbers)], "FP32", array("f", numbers).tobytes())


def test_outputs_have_the_models_names(running) -> None:
    outputs = dict(running.compute([("x", single(1, 2))]))
    assert outputs["y"] == single(2, 4)
    assert outputs["log"].kind == "I64"


def test_inputs_are_named_or_numbered_and_not_kept(running) -> None:
    assert dict(running.compute([("0", single(1, 2))]))["y"] == single(2, 4)
    assert dict(running.compute([("x", single(3))]))["y"] == single(6)
    with pytest.raises(InvalidArgument):
        running.compute([])


@pytest.mark.parametrize("name", ["z", "", "-1", "1.0", "²", "1" * 30, "1"])
def test_names_that_are_none_are_refused(running, name: str) -> None:
    with pytest.raises(InvalidArgument):
        running.compute([(name, single(1))])


def test_an_input_twice_is_refused(running) -> None:
    with pytest.raises(InvalidArgument, match="once"):
        running.compute([("x", single(1)), ("0", single(1))])


def test_types_and_sizes_are_checked(running) -> None:
    with pytest.raises(UnsupportedOperation, match="BF16"):
        running.compute([("x", Tensor([1], "BF16", b"12"))])
    with pytest.raises(InvalidArgument):
        running.compute([("x", Tensor([3], "FP32", b"1234"))])
    assert dict(running.compute([("x", single(1))]))["y"] == single(2)


def test_a_closed_one_says_so(running) -> None:
    running.close()
    running.close()
    with pytest.raises(InvalidArgument, match="closed"):
        running.compute([("x", single(1))])
