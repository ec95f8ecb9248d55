"""TensorFlow Lite models, by the runtime `ai-edge-litert` (or the older `tflite-runtime`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onecopy.errors import BackendMissing, InvalidModel
from onecopy.nn.backends import arrays, contents, failures, options, registry
from onecopy.nn.backends.backend import Port, Source, TensorModel

if TYPE_CHECKING:
    from onecopy.nn.backends.backend import Array

_WHAT = "a TensorFlow Lite model is one file, or an entry with its bytes"


class TfLite:
    """The backend `tflite`."""

    encodings = ("tensorflowlite",)
    suffixes = (".tflite",)

    def load(self, source: Source) -> TensorModel:
        """Load a model from a file, which is mapped, from bytes, or from an entry with its bytes.

        Raises:
            ModelNotFound: there is no such entry or file.
            InvalidModel: it is no such model.
            BackendMissing: neither runtime is installed.
        """
        chosen = options.parse(source.options, options.Common)
        interpreter = _library().Interpreter
        path = contents.path_of(source, _WHAT)
        with failures.loading("TensorFlow Lite"):
            if path is not None:
                made = interpreter(model_path=str(path), num_threads=chosen.threads)
            else:
                (content,) = contents.contents_of(source, 1, 1, _WHAT)
                made = interpreter(model_content=content.tobytes(), num_threads=chosen.threads)
            made.allocate_tensors()
            return TfLiteModel(made, chosen.batch)


def _library() -> Any:
    try:
        return registry.require("ai_edge_litert.interpreter", "tflite")
    except BackendMissing as missing:
        try:
            return registry.require("tflite_runtime.interpreter", "tflite")
        except BackendMissing:
            raise missing from None


class TfLiteModel:
    """An interpreter; it has room for inputs of one shape, and is made anew for another."""

    def __init__(self, interpreter: Any, batch: int) -> None:
        self._interpreter = interpreter
        self._inputs = interpreter.get_input_details()
        self._outputs = interpreter.get_output_details()
        self.inputs = tuple(map(_port, self._inputs))
        self.outputs = tuple(map(_port, self._outputs))
        self.batch = arrays.check_model(batch, self.inputs + self.outputs)
        self._shapes = [tuple(each["shape"].tolist()) for each in self._inputs]

    def infer(self, inputs: Sequence[Array | None]) -> Sequence[Array]:
        """Run the interpreter, as `TensorModel.infer` says."""
        arrays.check(inputs, self.inputs)
        given = [
            arrays.native(array, _native(each))
            for array, each in zip(inputs, self._inputs, strict=True)
            if array is not None
        ]
        with failures.computing("TensorFlow Lite"):
            self._resize([array.shape for array in given])
            for array, each in zip(given, self._inputs, strict=True):
                self._interpreter.set_tensor(each["index"], array)
            self._interpreter.invoke()
            found = [self._interpreter.get_tensor(each["index"]) for each in self._outputs]
        return [arrays.standard(array) for array in found]

    def _resize(self, shapes: list[tuple[int, ...]]) -> None:
        if shapes == self._shapes:
            return
        self._shapes = []  # Unknown until all of it has worked.
        for shape, each in zip(shapes, self._inputs, strict=True):
            self._interpreter.resize_tensor_input(each["index"], shape)
        self._interpreter.allocate_tensors()
        self._shapes = shapes


def _native(details: Mapping[str, Any]) -> str:
    """Return numpy's name for the type of an input or output."""
    name = getattr(details["dtype"], "__name__", str(details["dtype"])).rstrip("_")
    if name not in arrays.NEAREST:
        raise InvalidModel(f"{details['name']} is of {name}, which guests have no type for")
    return name


def _port(details: Mapping[str, Any]) -> Port:
    signature = details["shape_signature"]
    shape = signature if len(signature) else details["shape"]
    dims = tuple("?" if dim < 0 else dim for dim in shape.tolist())
    return Port(details["name"], arrays.NEAREST[_native(details)], dims)
