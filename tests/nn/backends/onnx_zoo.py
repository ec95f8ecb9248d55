"""Small ONNX models, made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

TYPES = {"f16": 10, "f32": 1, "f64": 11, "u8": 2, "i32": 6, "i64": 7}


def value(name: str, kind: int, shape: Sequence[int | str] | None):
    return helper.make_tensor_value_info(name, kind, shape)


def write(path: Path, nodes, inputs, outputs, constants=(), **options) -> Path:
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(constants))
    opsets = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, **options)
    path.write_bytes(model.SerializeToString())
    return path


def linear(path: Path, weight: np.ndarray, bias: np.ndarray) -> Path:
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["y"])]
    x = value("x", TensorProto.FLOAT, ["rows", weight.shape[0]])
    y = value("y", TensorProto.FLOAT, ["rows", weight.shape[1]])
    constants = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")]
    return write(path, nodes, [x], [y], constants)


def external(path: Path, location: str, key: str = "location") -> Path:
    """A model whose weight lies in another file."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key=key, value=location)
    x, y = value("x", TensorProto.FLOAT, [4]), value("y", TensorProto.FLOAT, [4])
    return write(path, [helper.make_node("Add", ["x", "w"], ["y"])], [x], [y], [weight])
