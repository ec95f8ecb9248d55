"""The numbers of WASI-NN: what guests pass and get.

Sources: `wasi-nn.witx` (WebAssembly/wasi-nn) and, for what it lacks, WasmEdge's plugin.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Errno(IntEnum):
    """What every function of `wasi_ephemeral_nn` returns; those from 100 on are WasmEdge's."""

    SUCCESS = 0
    INVALID_ARGUMENT = 1
    INVALID_ENCODING = 2
    MISSING_MEMORY = 3
    BUSY = 4
    RUNTIME_ERROR = 5
    UNSUPPORTED_OPERATION = 6
    TOO_LARGE = 7
    NOT_FOUND = 8
    END_OF_SEQUENCE = 100
    CONTEXT_FULL = 101
    PROMPT_TOO_LONG = 102
    MODEL_NOT_FOUND = 103


class Encoding(IntEnum):
    """How a model is written; those from 6 on are WasmEdge's."""

    OPENVINO = 0
    ONNX = 1
    TENSORFLOW = 2
    PYTORCH = 3
    TENSORFLOWLITE = 4
    AUTODETECT = 5
    GGML = 6


class Target(IntEnum):
    """Where a guest wishes a model to run; `AUTO` is WasmEdge's."""

    CPU = 0
    GPU = 1
    TPU = 2
    AUTO = 3


DTYPES: Final = {"f16": 2, "f32": 4, "f64": 8, "u8": 1, "i32": 4, "i64": 8}
"""Types of tensors, and how many bytes an element has."""
TYPES: Final = ("f16", "f32", "f64", "u8", "i32", "i64")
"""The names of the types by their numbers in the specification."""
OLD_TYPES: Final = ("f16", "f32", "u8", "i32")
"""The same by the numbers of before `f64` was inserted, which many guests were built with."""
