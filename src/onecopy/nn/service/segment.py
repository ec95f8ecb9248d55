"""The process's view of a connection's segment: inputs as arrays, and room for outputs."""

from __future__ import annotations

import math
import os
import stat
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import InvalidArgument, LimitReached, UnsupportedOperation
from onecopy.nn.service.messages import ALIGN, DIMENSIONS, SEGMENT, TENSORS, Tensor
from onecopy.nn.standard import DTYPES
from onecopy.segments.mapping import map_fd
from onecopy.segments.region import keeps_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.nn.backends.backend import Array

_NUMPY: Final = {
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "u8": "uint8",
    "i32": "int32",
    "i64": "int64",
}
_NAMES: Final = {numpy: name for name, numpy in _NUMPY.items()}


def aligned(nbytes: int) -> int:
    """Round up to where a tensor may begin."""
    return -(-nbytes // ALIGN) * ALIGN


def dtype_of(array: Any) -> str:
    """Return the standard's name of an array's type.

    Raises:
        UnsupportedOperation: it has none.
    """
    name = _NAMES.get(array.dtype.name)
    if name is None or not array.dtype.isnative:
        raise UnsupportedOperation(
            f"WASI-NN has no tensors of {array.dtype}; inputs and results are "
            f"{', '.join(_NUMPY.values())}"
        )
    return name


def numpy_dtype(dtype: str) -> str:
    """Return numpy's name of a type of the standard.

    Raises:
        InvalidArgument: there is no such type.
    """
    name = _NUMPY.get(dtype)
    if name is None:
        raise InvalidArgument(f"no tensor is of {dtype!r}; there are {', '.join(DTYPES)}")
    return name


def check_tensor(dtype: str, shape: Sequence[int], nbytes: int) -> None:
    """Raise `InvalidArgument` unless so many bytes make a tensor of a type and shape."""
    size = DTYPES.get(dtype)
    if size is None:
        raise InvalidArgument(f"no tensor is of {dtype!r}; there are {', '.join(DTYPES)}")
    if len(shape) > DIMENSIONS or any(not 0 <= each <= SEGMENT for each in shape):
        raise InvalidArgument(f"no tensor has the shape {list(shape)[: DIMENSIONS + 1]}")
    if math.prod(shape) * size != nbytes:
        raise InvalidArgument(
            f"a tensor of {dtype} of shape {list(shape)} has {math.prod(shape) * size} bytes, "
            f"not {nbytes}"
        )


class Segment:
    """A mapped segment that its client cannot cut short."""

    def __init__(self, fd: int, nbytes: int) -> None:
        self.nbytes = nbytes
        try:
            _check(fd, nbytes)
            self._view = map_fd(fd, nbytes, "shared").view()
        except OSError as error:
            raise InvalidArgument(f"the segment cannot be mapped: {error.strerror}") from None

    def arrays(self, tensors: Sequence[Tensor | None]) -> list[Array | None]:
        """Return inputs; those of integers are copies: what indexes memory must not change."""
        if len(tensors) > TENSORS:
            raise InvalidArgument(f"{len(tensors)} inputs, and at most {TENSORS} are possible")
        return [None if each is None else self._array(each) for each in tensors]

    def _array(self, tensor: Tensor) -> Array:
        import numpy as np

        check_tensor(tensor.dtype, tensor.shape, tensor.nbytes)
        raw = self._bytes(tensor.offset, tensor.nbytes)
        array = np.frombuffer(raw, numpy_dtype(tensor.dtype)).reshape(tensor.shape)
        if array.dtype.kind != "f":
            return array.copy()
        array.flags.writeable = False
        return array

    def read(self, tensor: Tensor) -> bytes:
        """Return a copy of an input's bytes."""
        return bytes(self._bytes(tensor.offset, tensor.nbytes))

    def _bytes(self, offset: int, nbytes: int) -> memoryview:
        if offset < 0 or offset % ALIGN or nbytes < 0 or offset + nbytes > self.nbytes:
            raise InvalidArgument(f"bytes {offset} to {offset + nbytes} are not in the segment")
        return self._view[offset : offset + nbytes]

    def put(self, outputs: Sequence[Array], room: int) -> list[Tensor]:
        """Write outputs from `room` on, and say where they are."""
        import numpy as np

        placed = []
        for output in outputs:
            dtype = dtype_of(output)
            raw = self._bytes(room, output.nbytes)
            if output.nbytes:
                np.copyto(np.frombuffer(raw, output.dtype).reshape(output.shape), output)
            placed.append(Tensor(dtype, tuple(output.shape), room, output.nbytes))
            room += aligned(output.nbytes)
        return placed


def check_outputs(outputs: Sequence[Array]) -> None:
    """Raise `LimitReached` unless outputs can be handed over."""
    if len(outputs) > TENSORS:
        raise LimitReached(f"the model returned {len(outputs)} tensors; at most {TENSORS} can be")
    if any(each.ndim > DIMENSIONS for each in outputs):
        raise LimitReached(f"a tensor that the model returned has over {DIMENSIONS} dimensions")
    if needed(outputs) > SEGMENT:
        raise LimitReached(f"the model returned over {SEGMENT} bytes; compute it in parts")


def needed(outputs: Sequence[Array]) -> int:
    """Return how many bytes outputs take in a segment."""
    return sum(aligned(each.nbytes) for each in outputs)


def _check(fd: int, nbytes: int) -> None:
    if not 0 < nbytes <= SEGMENT:
        raise InvalidArgument(f"a segment of {nbytes} bytes; at most {SEGMENT} are possible")
    # Its seals first: fstat on a descriptor of a stuck file system might never return.
    if not keeps_size(fd):
        raise InvalidArgument("a segment has to be a memfd whose size is sealed")
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size != nbytes:
        raise InvalidArgument(f"the segment has {status.st_size} bytes, not {nbytes}")
