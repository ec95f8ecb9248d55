"""Arrays and tensors of Python programs into contexts, and outputs as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from onecopy.errors import InvalidArgument
from onecopy.nn.service.segment import dtype_of, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.nn.backends.backend import Array
    from onecopy.nn.context import Context


def put(context: Context, inputs: Sequence[Any]) -> None:
    """Set all inputs of a context, from arrays or tensors on the CPU.

    Raises:
        InvalidArgument: `inputs` is one array; its rows would be taken for inputs.
        UnsupportedOperation: the standard has no such type.
    """
    import numpy as np

    if hasattr(inputs, "shape"):
        raise InvalidArgument(
            "the inputs are a list of arrays, not one array: write graph.run([array])"
        )
    for index, each in enumerate(inputs):
        array = np.asarray(each.detach() if hasattr(each, "detach") else each)
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        context.set_input(index, dtype_of(array), array.shape, flat.data)
    context.keep_inputs(len(inputs))


def take(context: Context) -> list[Array]:
    """Return copies of all outputs."""
    return [_take(context, index) for index in range(context.output_count)]


def _take(context: Context, index: int) -> Array:
    import numpy as np

    port = context.output_port(index)
    flat = np.frombuffer(context.output(index), numpy_dtype(port.dtype))
    return flat.reshape(cast("tuple[int, ...]", port.shape)).copy()
