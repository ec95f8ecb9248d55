"""Exported programs of torch: they say the types and shapes that they take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_unflatten

from onecopy.errors import InferenceFailed, InvalidArgument, InvalidModel
from onecopy.nn.backends import arrays
from onecopy.nn.backends.arrays import NEAREST
from onecopy.nn.backends.backend import Port
from onecopy.nn.backends.pytorch.calls import Arguments, Caller
from onecopy.nn.backends.pytorch.values import tensor_of

if TYPE_CHECKING:
    from onecopy.nn.backends.backend import Array

_NUMBERS = {bool: "u8", float: "f64", torch.SymFloat: "f64", torch.SymBool: "u8"}


class ExportedModel:
    """A program of `torch.export`; its inputs are those that are tensors, flat, in their order."""

    def __init__(self, program: Any, batch: int) -> None:
        values = _values(program)
        signature = program.graph_signature
        self._arguments = [s.arg for s in signature.input_specs if s.kind.name == "USER_INPUT"]
        self._taken = [values[a.name] for a in self._arguments if not _is_constant(a)]
        names = [a.name for a in self._arguments if not _is_constant(a)]
        self.inputs = tuple(_port(*pair) for pair in zip(names, self._taken, strict=True))
        self.outputs = _outputs(signature, values)
        self.batch = arrays.check_model(batch, self.inputs + self.outputs)
        self._spec = program.call_spec.in_spec
        self._call = Caller(program.module())

    def infer(self, inputs: Sequence[Array | None]) -> Sequence[Array]:
        """Run the program, as `TensorModel.infer` says."""
        arrays.check(inputs, self.inputs)
        given = [_argument(a, v) for a, v in zip(inputs, self._taken, strict=True) if a is not None]
        try:
            return self._call(given, self._arrange)[0]
        except InferenceFailed as error:
            # A guard of the program's: sizes outside of what it was exported for.
            if isinstance(error.__cause__, AssertionError):
                raise InvalidArgument(str(error.__cause__)) from error
            raise

    def _arrange(self, inputs: list[Any]) -> Arguments:
        """The tree of arguments that the program was exported with."""
        given = iter(inputs)
        flat = [each.value if _is_constant(each) else next(given) for each in self._arguments]
        positional, named = tree_unflatten(flat, self._spec)
        return positional, named


def _argument(array: Array, value: Any) -> Any:
    """Return an input as the program takes it: a tensor of its type, or a number."""
    if not isinstance(value, torch.Tensor):
        return arrays.native(array, "int64").item()
    if value.dtype.is_floating_point:
        return tensor_of(array).to(value.dtype)
    return tensor_of(arrays.native(array, _name(value)))


def _values(program: Any) -> dict[str, Any]:
    """What the program's graph knows of its inputs and results, by their names."""
    return {node.name: node.meta["val"] for node in program.graph.nodes if "val" in node.meta}


def _is_constant(argument: Any) -> bool:
    return hasattr(argument, "value")


def _outputs(signature: Any, values: dict[str, Any]) -> tuple[Port, ...]:
    """The results; None is left out, as `torch_values.flatten` does."""
    found = [spec.arg for spec in signature.output_specs if spec.kind.name == "USER_OUTPUT"]
    return tuple(
        _port(str(i), arg.value) if _is_constant(arg) else _port(arg.name, values[arg.name])
        for i, arg in enumerate(found)
        if not (_is_constant(arg) and arg.value is None)
    )


def _port(name: str, value: Any) -> Port:
    if not isinstance(value, torch.Tensor):
        return Port(name, _NUMBERS.get(type(value), "i64"), ())
    dtype = NEAREST.get(_name(value))
    if dtype is None:
        raise InvalidModel(f"{name} is a tensor of {value.dtype}, which guests have no type for")
    return Port(name, dtype, tuple(d if isinstance(d, int) else str(d) for d in value.shape))


def _name(value: torch.Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")
