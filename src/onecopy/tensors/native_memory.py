"""An arena's memory, where the C library redirects torch's allocator."""

from __future__ import annotations

import ctypes
import errno
from array import array
from typing import TYPE_CHECKING

from onecopy import native
from onecopy.native.arenas import facts_of
from onecopy.native.refusals import check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onecopy.native.arenas import Facts

_u64 = ctypes.c_uint64


class NativeMemory:
    """An arena of the C library; blocks come and go as torch asks for them."""

    def __init__(self, fd: int, readonly: int, nbytes: int, warm: int) -> None:
        """Take over both descriptors, if it succeeds."""
        self._library = native.library()
        number = _u64()
        _check(
            self._library.slow.onecopy_arena_new(
                fd, readonly, _u64(nbytes), _u64(warm), ctypes.byref(number)
            )
        )
        _prepare_locate()
        self.id = number.value
        self._number = number

    def enter(self) -> None:
        """From here on this thread allocates here."""
        _check(self._library.quick.onecopy_arena_enter(self._number))

    def leave(self) -> None:
        """End the innermost `enter` of this thread, which must be of this memory."""
        _check(self._library.slow.onecopy_arena_leave(self._number))

    def release(self) -> None:
        """Let it end with its last block; twice is fine."""
        self._library.slow.onecopy_arena_release(self._number)

    def facts(self) -> Facts | None:
        """Return what it holds, or None when it has ended."""
        return facts_of(self._number)

    def freeze(self, extents: Sequence[tuple[int, int]]) -> bool:
        """Make pages private; False, and nothing changed, if some already are."""
        flat = array("Q", [number for extent in extents for number in extent])
        address = ctypes.c_void_p(flat.buffer_info()[0])
        code = self._library.slow.onecopy_arena_freeze(
            self._number, address, ctypes.c_size_t(len(extents))
        )
        if code == errno.EBUSY:
            return False
        _check(code)
        return True

    def tidy(self) -> None:
        """Drop, in the background, what freezes have left behind."""
        self._library.quick.onecopy_arena_tidy(self._number)


def locate(address: int, nbytes: int) -> tuple[int, int]:
    """Return the id of the native arena in which these bytes lie clean, and their offset.

    The id is 0 if there is none. Without an arena in this process the library is not loaded.
    """
    if _locate is None:
        return 0, 0
    # One variable for all: the interpreter's lock is held until its value is read.
    return _locate(address, nbytes, _offset_reference), _offset.value


_offset = _u64()
_offset_reference = ctypes.byref(_offset)
_locate: Callable[[int, int, object], int] | None = None


def _prepare_locate() -> None:
    global _locate
    function = native.library().quick.onecopy_arena_locate
    function.restype = _u64
    function.argtypes = [_u64, _u64, ctypes.c_void_p]
    _locate = function


def _check(code: int) -> None:
    check(code, _MISUSES, "drop loaded tensors, or ask for a smaller arena")


_MISUSES = {
    errno.ENOENT: "this arena has ended; make another one",
    errno.EPERM: "arenas are left by the thread that entered them, the innermost first",
    errno.ECHILD: "this arena is the parent process's; make one here",
    errno.E2BIG: "too many arenas are entered within one another",
    errno.EINVAL: "these bytes are not in the arena",
}
