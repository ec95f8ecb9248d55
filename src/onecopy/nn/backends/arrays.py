"""Arrays between guests and libraries: the standard has six types, the libraries more.

`standard` and `native` are the two directions; what cannot be said in the other side's type is
an error, never another number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onecopy.errors import InferenceFailed, InvalidArgument, InvalidModel
from onecopy.nn.backends.backend import Port
from onecopy.nn.standard import DTYPES

if TYPE_CHECKING:
    import numpy as np

    from onecopy.nn.backends.backend import Array

_NAMES = {"float16": "f16", "float32": "f32", "float64": "f64", "uint8": "u8", "int32": "i32"}
_NAMES |= {"int64": "i64"}
# The nearest type of the standard that holds all values; uint64 alone may not fit.
NEAREST = _NAMES | {"bool": "u8", "int8": "i32", "int16": "i32", "uint16": "i32", "uint32": "i64"}
NEAREST |= {"uint64": "i64", "bfloat16": "f32"}
"""What guests see of a library's types, by the names that numpy and torch share."""
_NUMPY = {name: full for full, name in _NAMES.items()}


def dtype_of(array: Array) -> str:
    """Return the standard's name of an array's type, or its own if the standard has none."""
    return _NAMES.get(array.dtype.name, array.dtype.name)


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Return numpy's type for one of `standard.DTYPES`."""
    import numpy as np

    return np.dtype(_NUMPY[name])


def standard(array: Array) -> Array:
    """Return a library's result in a type of the standard, the same array if it is in one.

    Raises:
        InferenceFailed: there is none for it, or a number does not fit into it.
    """
    if array.dtype.name in _NAMES and array.dtype.isnative:
        return array
    name = NEAREST.get(array.dtype.name)
    if name is None:
        raise InferenceFailed(f"the model returned {array.dtype}, which guests have no type for")
    return _cast(array, numpy_dtype(name), InferenceFailed)


def native(array: Array, dtype: str) -> Array:
    """Return an input in the type (numpy's name) that a model wants, and as libraries take it.

    Raises:
        InvalidArgument: a number does not fit into it.
    """
    import numpy as np

    array = plain(array)
    if array.dtype.name == dtype:
        return array
    if dtype == "bool":
        return np.asarray(array != 0)  # Of a scalar, it is no array.
    return _cast(array, np.dtype(dtype), InvalidArgument)


def plain(array: Array) -> Array:
    """Return an array as libraries take it: in C order, aligned, in this machine's byte order."""
    if array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative:
        return array
    return array.astype(array.dtype.newbyteorder("="), order="C")


def _cast(array: Array, dtype: np.dtype[Any], error: type[Exception]) -> Array:
    cast = array.astype(dtype)
    # Widening needs no look at the numbers, narrowing does.
    if not _widens(array, dtype) and not (cast == array).all():
        raise error(f"a number of {array.dtype} does not fit into {dtype}")
    return cast


def _widens(array: Array, dtype: np.dtype[Any]) -> bool:
    import numpy as np

    return array.dtype.kind not in "iub" or np.can_cast(array.dtype, dtype)


def check(inputs: Sequence[Array | None], ports: Sequence[Port]) -> None:
    """Compare inputs with what a model takes, before its library sees them.

    Raises:
        InvalidArgument: their number, a type or a shape differs; the text says which.
    """
    if len(inputs) > len(ports):
        raise InvalidArgument(f"{len(inputs)} inputs for a model that takes {len(ports)}")
    for index, port in enumerate(ports):
        array = inputs[index] if index < len(inputs) else None
        if array is not None:
            _check_one(index, array, port)
        elif not port.optional:
            raise InvalidArgument(f"input {index} ({port.name}) is missing")


def _check_one(index: int, array: Array, port: Port) -> None:
    got = dtype_of(array)
    if got not in DTYPES or (port.dtype and got != port.dtype):
        wanted = port.dtype or "one of " + ", ".join(DTYPES)
        raise InvalidArgument(f"input {index} ({port.name}) is {got}; the model takes {wanted}")
    if port.shape is not None and not _fits(array.shape, port.shape):
        shape = f"{list(array.shape)}; the model takes {list(port.shape)}"
        raise InvalidArgument(f"input {index} ({port.name}) has the shape {shape}")


def _fits(shape: Sequence[int], wanted: Sequence[int | str]) -> bool:
    return len(shape) == len(wanted) and all(
        isinstance(want, str) or have == want for have, want in zip(shape, wanted, strict=True)
    )


_MOST_TEXT = 100_000


def is_tellable(ports: Sequence[Port]) -> bool:
    """Return whether ports fit into one message to a guest's process, whatever they are called."""
    texts = ("".join([port.name, *map(str, port.shape or ())]) for port in ports)
    return sum(32 + len(text.encode()) for text in texts) <= _MOST_TEXT


def check_model(batch: int, ports: Sequence[Port]) -> int:
    """Return how many rows may be put together, as a host said, for a model with these ports.

    Raises:
        InvalidModel: it has too many of them, or with too long names.
        InvalidArgument: the first dimension of an input or an output is not free.
    """
    if not is_tellable(ports):
        raise InvalidModel("the model has too many inputs and outputs, or too long names for them")
    for port in ports:
        free = port.shape is None or (port.shape and isinstance(port.shape[0], str))
        if batch > 1 and not free:
            raise InvalidArgument(f"batch={batch}: the first dimension of {port.name} is not free")
    return batch
