"""Opening and mapping a segment in one step, where the C library is there.

The steps are those of `store.loader`, which takes over whenever this one gives up.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from onecopy import native
from onecopy.segments.mapping import FLAGS, adopt

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.segments.mapping import Mapping, Mode


class Opening(ctypes.Structure):
    """What it takes; `struct opening` of native/segment.c."""

    _fields_ = (
        ("generation", ctypes.c_void_p),
        ("expected", ctypes.c_uint64),
        ("pulse", ctypes.c_void_p),
        ("ino", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("extent", ctypes.c_uint64),
        ("modified", ctypes.c_uint64),
        ("touch", ctypes.c_void_p),
        ("thread", ctypes.c_uint32),
        ("directory", ctypes.c_int32),
        ("flags", ctypes.c_int32),
        ("protection", ctypes.c_int32),
        ("sharing", ctypes.c_int32),
        ("number", ctypes.c_char * 12),
    )


def mapper(opening: Opening, mode: Mode) -> Callable[[], Mapping | None] | None:
    """Return what opens and maps the segment each time it is called, or None without library.

    It returns None if the segment cannot be had this way (any more). The memory that `opening`
    points into must outlive it.
    """
    library = native.find()
    if library is None:
        return None
    opening.protection, opening.sharing = FLAGS[mode]
    call = library.quick.onecopy_map
    pointer, nbytes = ctypes.byref(opening), opening.extent

    def map_now() -> Mapping | None:
        address = call(pointer)
        return adopt(address, nbytes) if address else None

    return map_now
