"""A context's segment on the side that asks: inputs are copied there, outputs are read there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from onecopy.errors import InvalidArgument, LimitReached, ProtocolError
from onecopy.nn.service.messages import SEGMENT, TENSORS, Tensor
from onecopy.nn.service.segment import aligned, check_tensor
from onecopy.segments import region
from onecopy.segments.mapping import map_fd

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAST: Final = 1 << 16


class Workspace:
    """Inputs that stay, whoever dies, and room behind them for outputs."""

    def __init__(self) -> None:
        self.fd = -1
        self.nbytes = 0
        self.fresh = False
        """Whether the other side has not got the segment yet."""
        self.outputs: list[Tensor] = []
        self.views: list[memoryview] = []
        self.expected = 0
        """How many bytes the last outputs took."""
        self._inputs: dict[int, Tensor] = {}
        self._end = 0
        self._written = 0
        """Where the outputs end; views of them may be in use."""
        self._view = memoryview(b"")

    def put(self, index: int, dtype: str, shape: Sequence[int], data: bytes | memoryview) -> None:
        """Copy an input into the segment.

        Raises:
            InvalidArgument: so many bytes make no tensor of that type and shape.
            LimitReached: there is no room for so many.
        """
        data = memoryview(data).cast("B")
        check_tensor(dtype, shape, len(data))
        if not 0 <= index < TENSORS:
            raise InvalidArgument(f"input {index}: a model has at most {TENSORS}")
        old = self._inputs.get(index)
        if old is None or aligned(len(data)) > aligned(old.nbytes):
            offset = self._extend(len(data))
            # A call of the kernel, not a copy: pages that nobody has used yet would fault, each.
            os.pwrite(self.fd, data, offset)
        else:
            offset = old.offset
            self._view[offset : offset + len(data)] = data
        self._inputs[index] = Tensor(dtype, tuple(shape), offset, len(data))

    def _extend(self, nbytes: int) -> int:
        # Behind the outputs, which somebody may still read.
        self._end = max(self._end, self._written)
        if self._end + aligned(nbytes) > self.nbytes or self.fd < 0:
            self._renew(nbytes)
        offset = self._end
        self._end += aligned(nbytes)
        return offset

    def keep(self, count: int) -> None:
        """Forget inputs beyond the first so many."""
        for index in [each for each in self._inputs if each >= count]:
            del self._inputs[index]

    def inputs(self) -> list[Tensor | None]:
        """Return where the inputs are; None stands for one that was not set."""
        return [self._inputs.get(each) for each in range(max(self._inputs, default=-1) + 1)]

    @property
    def room(self) -> int:
        """Where outputs may begin."""
        return self._end

    def make_room(self, nbytes: int) -> None:
        """Have so many bytes for outputs, in another segment if need be."""
        if not 0 <= nbytes <= SEGMENT:
            raise ProtocolError(f"outputs of {nbytes} bytes are not possible")
        if self._end + nbytes > self.nbytes or self.fd < 0:
            self._renew(nbytes)

    def _renew(self, more: int) -> None:
        """Take a segment with room for `more` bytes, and move the inputs there."""
        kept = sum(aligned(each.nbytes) for each in self._inputs.values())
        if kept + aligned(more) > SEGMENT:
            raise LimitReached(
                f"tensors of {kept + aligned(more)} bytes; a context has room for {SEGMENT}"
            )
        nbytes = min(max(_LEAST, kept + 2 * aligned(more)), SEGMENT)
        fd = region.create("onecopy-nn", nbytes)
        try:
            region.seal(fd, mutable=True)
            view = map_fd(fd, nbytes, "shared").view()
        except BaseException:
            os.close(fd)
            raise
        self._move(view)
        self.close()
        self.fd, self.nbytes, self._view, self.fresh = fd, nbytes, view, True

    def _move(self, view: memoryview) -> None:
        end = 0
        for index, each in list(self._inputs.items()):
            view[end : end + each.nbytes] = self._view[each.offset : each.offset + each.nbytes]
            self._inputs[index] = Tensor(each.dtype, each.shape, end, each.nbytes)
            end += aligned(each.nbytes)
        self._end, self._written = end, 0

    def take(self, outputs: list[Tensor]) -> None:
        """Check where the other side says that outputs are; they stay until the next ones.

        Raises:
            ProtocolError: they are not there.
        """
        if len(outputs) > TENSORS:
            raise ProtocolError(f"{len(outputs)} outputs; at most {TENSORS} are possible")
        for each in outputs:
            if each.offset < self._end or each.offset + each.nbytes > self.nbytes:
                raise ProtocolError("an output is outside of the segment")
            try:
                check_tensor(each.dtype, each.shape, each.nbytes)
            except InvalidArgument as error:
                raise ProtocolError(f"an output is none: {error}") from None
        self.outputs = outputs
        self.expected = sum(aligned(each.nbytes) for each in outputs)
        self.views = [
            self._view[each.offset : each.offset + each.nbytes].toreadonly() for each in outputs
        ]
        self._written = max((each.offset + aligned(each.nbytes) for each in outputs), default=0)

    def forget_outputs(self) -> None:
        """Have none, as before the first computation."""
        self.outputs, self.views = [], []

    def close(self) -> None:
        """Let go of the segment; views of it stay valid."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
