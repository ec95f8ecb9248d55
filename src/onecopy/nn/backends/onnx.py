"""ONNX models, by onnxruntime on the CPU."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onecopy.errors import InvalidArgument, InvalidModel
from onecopy.nn.backends import arrays, contents, failures, options, protobuf, registry
from onecopy.nn.backends.backend import Port, Source, TensorModel

if TYPE_CHECKING:
    from onecopy.nn.backends.backend import Array

_WHAT = "an ONNX model is one file, or an entry with its bytes"
# numpy's names for the types of onnxruntime that it takes and gives as arrays of numbers.
_TYPES = {name: name for name in arrays.NEAREST} | {"float": "float32", "double": "float64"}
del _TYPES["bfloat16"]


class Onnx:
    """The backend `onnx`."""

    encodings = ("onnx",)
    suffixes = (".onnx",)

    def load(self, source: Source) -> TensorModel:
        """Load a model from a file, from bytes, or from an entry that holds its file.

        Raises:
            ModelNotFound: there is no such entry or file.
            InvalidModel: it is no model, or a guest's refers to other files.
            BackendMissing: onnxruntime is not installed.
        """
        chosen = options.parse(source.options, options.Common)
        runtime = _library()
        model, settings = _model_of(source), _settings(runtime, chosen)
        with failures.loading("onnxruntime"):
            # Without its second try after a failure, which it announces to the standard output.
            on_cpu = {"providers": ["CPUExecutionProvider"], "enable_fallback": 0}
            return OnnxModel(runtime.InferenceSession(model, settings, **on_cpu), chosen.batch)


def _library() -> Any:
    """Import the library; by default, it would report its use to its maker from then on."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    return registry.require("onnxruntime", "onnx")


def _settings(runtime: Any, chosen: options.Common) -> Any:
    settings = runtime.SessionOptions()
    settings.log_severity_level = 4  # Errors are raised: nothing is printed.
    # Its threads would otherwise burn a core each while they wait for the next request.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Its own format, which it would take as well, is not looked through for other files.
    settings.add_session_config_entry("session.load_model_format", "ONNX")
    if chosen.threads is not None:
        settings.intra_op_num_threads = chosen.threads
    return settings


def _model_of(source: Source) -> str | bytes:
    """Return a path, or the bytes: onnxruntime reads no other buffer."""
    path = contents.path_of(source, _WHAT)
    if path is not None:
        return str(path)
    (content,) = contents.contents_of(source, 1, 1, _WHAT)
    if source.foreign:
        protobuf.refuse_external_data(content.data)
    return content.tobytes()


class OnnxModel:
    """A session of onnxruntime."""

    def __init__(self, session: Any, batch: int) -> None:
        self._session = session
        self._types = [_native(each) for each in session.get_inputs()]
        self.inputs = tuple(map(_port, session.get_inputs()))
        self.outputs = tuple(map(_port, session.get_outputs()))
        self.batch = arrays.check_model(batch, self.inputs + self.outputs)

    def infer(self, inputs: Sequence[Array | None]) -> Sequence[Array]:
        """Run the session, as `TensorModel.infer` says."""
        arrays.check(inputs, self.inputs)
        given = {
            port.name: arrays.native(array, dtype)
            for port, array, dtype in zip(self.inputs, inputs, self._types, strict=True)
            if array is not None
        }
        with failures.computing("onnxruntime"):
            found = self._run(given)
        return [arrays.standard(array) for array in found]

    def _run(self, given: dict[str, Array]) -> list[Array]:
        try:
            return list(self._session.run(None, given))
        except Exception as error:
            if type(error).__name__ == "InvalidArgument":
                raise InvalidArgument(f"onnxruntime: {failures.reason(error)}") from error
            raise


def _native(value: Any) -> str:
    """Return numpy's name for the type of an input or output."""
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    if kind not in _TYPES:
        raise InvalidModel(f"{value.name} is a {value.type}, which guests have no type for")
    return _TYPES[kind]


def _port(value: Any) -> Port:
    # Without a shape, and for a scalar, the library gives the same empty list.
    shape = tuple(each if isinstance(each, int) else str(each or "?") for each in value.shape)
    return Port(value.name, arrays.NEAREST[_native(value)], shape or None)
