"""The pulse: a word in shared memory that tells whether the daemon lives.

The daemon holds a robust, process-shared mutex there. Its first word is the holder's thread
id; when the holder dies, however it dies, the kernel itself sets FUTEX_OWNER_DIED in it. So
clients learn of a death by reading memory: no system call, no heartbeat, no time-out.
"""

from __future__ import annotations

import ctypes
import errno
import sys
import threading
from typing import Final

SIZE: Final = 64
"""Bytes to reserve for it, aligned to 8: a pthread_mutex_t has 40 on 64-bit Linux, 48 on arm."""

_PROCESS_SHARED: Final = 1
_ROBUST: Final = 1

_held: list[object] = []


class Pulse:
    """The daemon's side: held from creation until `stop()` or the end of the thread."""

    def __init__(self, memory: memoryview) -> None:
        self._libc = ctypes.CDLL(None)
        self._memory = (ctypes.c_char * SIZE).from_buffer(memory)
        # The C library links the mutexes that a thread holds: this memory must stay mapped
        # until `stop`, also if everybody else has forgotten it.
        _held.append(self._memory)
        attributes = ctypes.create_string_buffer(SIZE)
        self._call("pthread_mutexattr_init", attributes)
        self._call("pthread_mutexattr_setpshared", attributes, _PROCESS_SHARED)
        self._call("pthread_mutexattr_setrobust", attributes, _ROBUST)
        self._call("pthread_mutex_init", self._memory, attributes)
        self._call("pthread_mutex_lock", self._memory)
        self.thread = threading.get_native_id()
        if int.from_bytes(memory[:4], sys.byteorder) != self.thread:
            self.stop()
            raise OSError(
                "the mutexes of this C library do not begin with their holder (not glibc?)"
            )

    def stop(self) -> None:
        """Let go of the memory, which says "dead" from now on."""
        self._call("pthread_mutex_unlock", self._memory)
        _held[:] = [memory for memory in _held if memory is not self._memory]
        del self._memory

    def _call(self, function: str, *arguments: object) -> None:
        code = getattr(self._libc, function)(*arguments)
        if code:
            raise OSError(code, f"{function} failed: {errno.errorcode.get(code, code)}")
