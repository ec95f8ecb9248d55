"""What the functions do with models, apart from the attacks on them (`test_hostile`)."""

from __future__ import annotations

import struct

import pytest

from onecopy import nn
from onecopy.nn.guest.functions import Functions
from onecopy.nn.standard import Encoding, Errno
from tests.nn.guest.test_tensors import memory
from tests.nn.service.ending import wait_until_ended

OUT, PARTS, DATA = 8, 64, 4096


@pytest.fixture
def memory_of_a_guest():
    return memory(2)


@pytest.fixture
def told():
    return []


@pytest.fixture
def functions(memory_of_a_guest, told):
    """Of a guest without models."""
    with nn.Host({}, idle_seconds=0) as host:
        functions = Functions(host, lambda *each: told.append(each))
        functions.attach(memory_of_a_guest, 1 << 20)
        yield functions
    wait_until_ended()


def call(functions: Functions, name: str, *arguments: int) -> int:
    return functions.function(name)(*arguments)


def test_before_its_memory_is_there_a_guest_is_told_so(told):
    with nn.Host({}) as host:
        functions = Functions(host, lambda *each: told.append(each))
        assert call(functions, "load_by_name", 0, 1, 8) == Errno.MISSING_MEMORY


def test_every_refusal_is_told_with_its_reason(functions, told):
    assert call(functions, "compute", 5) == Errno.INVALID_ARGUMENT
    ((name, errno, error),) = told
    assert (name, errno, str(error)) == ("compute", 1, "5 is not the handle of a context")


def test_what_nobody_foresaw_is_not_hidden(functions):
    with pytest.raises(TypeError):
        call(functions, "compute")


def test_a_guest_brings_no_more_than_its_limit(functions, memory_of_a_guest, tmp_path, told):
    pytest.importorskip("onnxruntime")
    model = identity(tmp_path / "x.onnx")
    memory_of_a_guest.write(DATA, model)
    memory_of_a_guest.write(PARTS, struct.pack("<II", DATA, len(model)))
    functions.attach(memory_of_a_guest, 2 * len(model))

    def load() -> int:
        return call(functions, "load", PARTS, 1, Encoding.ONNX, 0, OUT)

    assert [load(), load(), load()] == [0, 0, Errno.TOO_LARGE]
    (graph,) = struct.unpack("<I", memory_of_a_guest.read(OUT, 4))
    assert call(functions, "unload", graph) == 0
    assert load() == 0


def identity(path) -> bytes:
    import numpy as np

    from tests.nn.backends.onnx_zoo import linear

    return linear(path, np.eye(2, dtype=np.float32), np.zeros(2, np.float32)).read_bytes()
