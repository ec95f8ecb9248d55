"""A context of a component: what it is given by name, and what it returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from onecopy.errors import InvalidArgument, UnsupportedOperation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onecopy.nn.context import Context
    from onecopy.nn.graph import Graph

    Named = tuple[str, "Tensor"]

_DTYPES: Final = {
    "FP16": "f16",
    "FP32": "f32",
    "FP64": "f64",
    "U8": "u8",
    "I32": "i32",
    "I64": "i64",
}
_KINDS: Final = {dtype: kind for kind, dtype in _DTYPES.items()}


class Tensor(NamedTuple):
    """A tensor as a component made or got it; the bytes are its own."""

    dimensions: list[int]
    kind: str
    """One of the names of the enumeration `tensor-type`."""
    data: bytes


class Running:
    """A context whose inputs and outputs have names.

    A name that is none of the model's, but a number, stands for the input of that number: many
    models do not say what their inputs are called.
    """

    def __init__(self, graph: Graph) -> None:
        self._names = [port.name for port in graph.inputs]
        self._context: Context = graph.context()

    def compute(self, inputs: Sequence[Named]) -> list[Named]:
        """Compute all outputs from all inputs.

        Raises:
            InvalidArgument: an input is missing, twice there, or not what the model takes.
            UnsupportedOperation: a tensor of a type that no model here has.
            InferenceFailed: the model refused their values, or failed.
        """
        numbers = [self._number(name) for name, _ in inputs]
        if sorted(numbers) != list(range(len(numbers))):
            raise InvalidArgument(
                f"inputs {[name for name, _ in inputs]}: each must be given once, from the first on"
            )
        for number, (_, tensor) in zip(numbers, inputs, strict=True):
            dtype = _dtype(tensor.kind)
            self._context.set_input(number, dtype, tensor.dimensions, tensor.data)
        self._context.keep_inputs(len(numbers))
        self._context.compute()
        return list(self._outputs())

    def close(self) -> None:
        """Let inputs and outputs go."""
        self._context.close()

    def _number(self, name: str) -> int:
        if name in self._names:
            return self._names.index(name)
        # What isdecimal() takes for a digit, int() does too; and ten digits are more than enough.
        if name.isdecimal() and len(name) < 10:
            return int(name)
        raise InvalidArgument(f"no input {name!r}: the model has {self._names}, or a number")

    def _outputs(self) -> Iterator[Named]:
        for number in range(self._context.output_count):
            port = self._context.output_port(number)
            dimensions = [int(each) for each in port.shape or ()]
            # The context's next outputs will lie where these do.
            data = bytes(self._context.output(number))
            yield port.name, Tensor(dimensions, _KINDS[port.dtype], data)


def _dtype(kind: str) -> str:
    if kind not in _DTYPES:
        raise UnsupportedOperation(f"tensors of type {kind}: there are {', '.join(_DTYPES)}")
    return _DTYPES[kind]
