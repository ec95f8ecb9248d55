"""OpenVINO's models: an XML file and one of weights, compiled for the CPU."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onecopy.errors import InvalidModel
from onecopy.nn.backends import arrays, contents, failures, options, registry
from onecopy.nn.backends.backend import Port, Source, TensorModel

if TYPE_CHECKING:
    from onecopy.nn.backends.backend import Array

_WHAT = "an OpenVINO model is two files or parts: the XML, then the weights"
# numpy's names for OpenVINO's types.
_TYPES = {"f16": "float16", "f32": "float32", "f64": "float64", "boolean": "bool"} | {
    f"{sign}{bits}": f"{name}{bits}"
    for sign, name in (("i", "int"), ("u", "uint"))
    for bits in (8, 16, 32, 64)
}
# Results as a graph of floats has them, though a CPU could round to bfloat16, and faster so.
_SETTINGS = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}


class OpenVino:
    """The backend `openvino`."""

    encodings = ("openvino",)
    suffixes = (".xml",)

    def load(self, source: Source) -> TensorModel:
        """Load a model from `x.xml` (and `x.bin` beside it), from bytes, or from an entry of both.

        Raises:
            ModelNotFound: there is no such entry or file.
            InvalidModel: it is no such model.
            BackendMissing: openvino is not installed.
        """
        chosen = options.parse(source.options, options.Common)
        library = _library()
        graph, weights = contents.contents_of(_both_files(source), 2, 2, _WHAT)
        text = graph.tobytes()
        if not text.lstrip().startswith(b"<"):  # It would try readers of other formats.
            raise InvalidModel("the first part of an OpenVINO model is XML")
        settings = _SETTINGS | ({"INFERENCE_NUM_THREADS": chosen.threads} if chosen.threads else {})
        with failures.loading("OpenVINO"):
            core = library.Core()
            # The model's constants are views of the weights.
            model = core.read_model(text, library.Tensor(weights, shared_memory=True))
            compiled = core.compile_model(model, "CPU", settings)
            return OpenVinoModel(compiled, chosen.batch, weights)


def _library() -> Any:
    """Import the library without what sends statistics about the use of its other parts."""
    telemetry = "openvino_telemetry"
    hidden = "openvino" not in sys.modules and telemetry not in sys.modules
    if hidden:
        sys.modules[telemetry] = None  # type: ignore[assignment]  # Not to be imported.
    try:
        return registry.require("openvino", "openvino")
    finally:
        if hidden:
            del sys.modules[telemetry]


def _both_files(source: Source) -> Source:
    if len(source.files) != 1 or source.foreign:
        return source
    weights = Path(source.files[0]).with_suffix(".bin")
    return Source(
        backend=source.backend, files=(*source.files, str(weights)), options=source.options
    )


class OpenVinoModel:
    """A compiled model and one request for it."""

    def __init__(self, compiled: Any, batch: int, weights: Array) -> None:
        self._weights = weights
        self._request = compiled.create_infer_request()
        self._types = [_native(value) for value in compiled.inputs]
        self.inputs = tuple(_port(i, value) for i, value in enumerate(compiled.inputs))
        self.outputs = tuple(_port(i, value) for i, value in enumerate(compiled.outputs))
        self.batch = arrays.check_model(batch, self.inputs + self.outputs)

    def infer(self, inputs: Sequence[Array | None]) -> Sequence[Array]:
        """Run the request, as `TensorModel.infer` says; the results hold until the next."""
        arrays.check(inputs, self.inputs)
        given = {
            index: arrays.native(array, dtype)
            for index, (array, dtype) in enumerate(zip(inputs, self._types, strict=True))
            if array is not None
        }
        with failures.computing("OpenVINO"):
            found = self._request.infer(given, share_inputs=True, share_outputs=True)
            results = [found[index] for index in range(len(self.outputs))]
        return [arrays.standard(array) for array in results]


def _native(value: Any) -> str:
    """Return numpy's name for the type of an input or output."""
    name = value.element_type.get_type_name()
    if name not in _TYPES:
        raise InvalidModel(f"an input or output is of {name}, which guests have no type for")
    return _TYPES[name]


def _port(index: int, value: Any) -> Port:
    names = sorted(value.get_names())
    shape = None
    if value.partial_shape.rank.is_static:
        dims = value.partial_shape
        shape = tuple(d.get_length() if d.is_static else str(d) for d in dims)
    return Port(names[0] if names else str(index), arrays.NEAREST[_native(value)], shape)
