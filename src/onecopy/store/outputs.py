"""Saving the output of a planned run: the memfd that it lies in becomes the entry's segment.

Its first page is free for the header, and behind its data goes the spec (I5). The saver's own view
is made private before the memfd is sealed, so what it writes later stays its own (I4).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from onecopy.native import outputs
from onecopy.segments import region
from onecopy.tensors.values import Packed

if TYPE_CHECKING:
    from onecopy.tensors.codec import Memory


def lay_out(value: Any, packed: Packed, align: int) -> Packed | None:
    """Return a value laid out as it lies in an output's memfd; None unless it is all of one."""
    memory = packed.memory
    if memory is None or align > region.PAGE or not _is_output(memory):
        return None
    return Packed(value, region.PAGE)


def segment(packed: Packed) -> int | None:
    """Make the memfd of an output a sealed segment; None if the value is no such, or no longer."""
    memory = packed.memory
    if memory is None or packed.data_start != region.PAGE or not _is_output(memory):
        return None
    fd = outputs.detach(memory.address)
    if fd is None:
        return None
    try:
        region.write(fd, [packed.header])
        region.write(fd, [packed.spec], packed.spec_offset)
        region.seal(fd)
    except OSError:
        # Somebody has it mapped to write, such as a child that is being forked at this moment.
        os.close(fd)
        return None
    return fd


def _is_output(memory: Memory) -> bool:
    return outputs.made and outputs.nbytes_at(memory.address) == memory.nbytes
