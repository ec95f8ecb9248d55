"""TensorFlow Lite models, where its runtime is installed: it is not among what tests need.

pip install ai-edge-litert; pytest tests/nn/backends/test_tflite.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import onecopy
from onecopy.nn.backends.backend import Port
from tests.nn.backends import contract
from tests.nn.backends.contract import BIAS, NUMPY, WEIGHT, X

litert = pytest.importorskip("ai_edge_litert.interpreter")
schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
flatbuffers = pytest.importorskip("flatbuffers")

TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int8": 9}


def tensor(name: str, dtype: str, shape, buffer: int = 0):
    made = schema.TensorT()
    made.name, made.type, made.buffer = name, TYPES[dtype], buffer
    made.shape = [1 if dim < 0 else dim for dim in shape]
    made.shapeSignature = list(shape)
    made.hasRank = True
    return made


def write(path: Path, tensors, op: str, inputs, outputs, constants=(), options=None) -> Path:
    """Write a model of one operator; the constants are the buffers from 1 on."""
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, op)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = inputs, outputs
    if options is not None:
        kind = type(options).__name__.removesuffix("T")
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        operator.builtinOptions = options
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = tensors, [operator]
    graph.inputs = sorted({i for i in inputs if tensors[i].buffer == 0})
    graph.outputs = outputs
    return _pack(path, graph, code, constants)


def _pack(path: Path, graph, code, constants) -> Path:
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT()]
    for constant in constants:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(constant.tobytes(), np.uint8)
        model.buffers.append(buffer)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


class TestTfLite(contract.BackendTests):
    name = "tflite"
    encoding = "tensorflowlite"
    types = ("f32", "i32", "i64")

    def linear(self, folder: Path) -> list[Path]:
        tensors = [
            tensor("x", "float32", (-1, 4)),
            tensor("w", "float32", (3, 4), 1),
            tensor("b", "float32", (3,), 2),
            tensor("y", "float32", (-1, 3)),
        ]
        options, weight = schema.FullyConnectedOptionsT(), np.ascontiguousarray(WEIGHT.T)
        path = folder / "linear.tflite"
        ends = ([0, 1, 2], [3])
        return [write(path, tensors, "FULLY_CONNECTED", *ends, [weight, BIAS], options)]

    def twice(self, folder: Path, dtype: str, shape: tuple[int, ...]) -> list[Path]:
        tensors = [tensor("x", NUMPY[dtype], shape), tensor("y", NUMPY[dtype], shape)]
        path = folder / "twice.tflite"
        return [write(path, tensors, "ADD", [0, 0], [1], options=schema.AddOptionsT())]

    def test_results_are_the_librarys_own(self, tmp_path: Path):
        files = self.linear(tmp_path)
        model = litert.Interpreter(model_path=str(files[0]), num_threads=1)
        model.resize_tensor_input(0, X.shape)
        model.allocate_tensors()
        model.set_tensor(0, X)
        model.invoke()
        assert np.array_equal(self.load(files).infer([X])[0], model.get_tensor(3))

    def test_types_that_guests_lack_become_the_nearest(self, tmp_path: Path):
        tensors = [tensor("x", "bool", (2,)), tensor("y", "bool", (2,))]
        made = write(tmp_path / "m.tflite", tensors, "LOGICAL_NOT", [0], [1])
        model = self.load([made])
        assert model.inputs == (Port("x", "u8", (2,)),)
        assert model.infer([np.array([0, 3], np.uint8)])[0].tolist() == [1, 0]


def test_a_model_of_others_sees_a_bird(tmp_path: Path):
    import os

    path = os.environ.get("ONECOPY_TEST_BIRDS", "")
    if not path:
        pytest.skip("ONECOPY_TEST_BIRDS names no model of birds")
    from onecopy.nn.backends import registry
    from onecopy.nn.backends.backend import Source

    model = registry.find("tflite").load(Source(backend="tflite", files=(path,)))
    picture = np.zeros((1, 224, 224, 3), np.uint8)
    (found,) = model.infer([picture])
    assert (found.shape, found.dtype) == ((1, 965), np.uint8)
    with pytest.raises(onecopy.InvalidArgument, match="u8"):
        model.infer([picture.astype(np.float32)])
