"""torch's CPU allocator replaced by ours, which arenas, recordings and planned runs rely on."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final

from onecopy import native
from onecopy.forks import no_fork
from onecopy.native import Unavailable

_REASON_ROOM: Final = 256


def install() -> None:
    """Make torch ask our allocator; twice is fine.

    Raises:
        Unavailable: the library is not there, or does not fit this torch.
    """
    import torch

    library = native.library()
    path = Path(torch.__file__).with_name("lib") / "libc10.so"
    try:
        libc10 = ctypes.CDLL(str(path))
    except OSError as error:
        raise Unavailable(f"torch's libc10 is not where it was expected ({error})") from error
    reason = ctypes.create_string_buffer(_REASON_ROOM)
    with no_fork:
        failed = library.quick.onecopy_allocator_install(
            ctypes.c_void_p(libc10._handle), reason, ctypes.c_size_t(_REASON_ROOM)
        )
    if failed:
        raise Unavailable(
            f"torch {torch.__version__} does not fit onecopy's allocator: {reason.value.decode()}"
        )
