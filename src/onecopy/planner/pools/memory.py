"""Real memory for a pool: a memfd whose pages are committed when they are touched."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

from onecopy.errors import InvalidArgument, StoreClosed
from onecopy.segments import region
from onecopy.segments.mapping import map_fd
from onecopy.units import parse_size

if TYPE_CHECKING:
    from typing_extensions import Self


class Memory:
    """A sparse memfd, mapped here: `Memory("1GiB")` takes addresses, and no memory yet.

    One pool manages it. Views keep its bytes alive after `close()`, which ends the pool's use of
    it. A forked child shares the bytes, but may not allocate.
    """

    def __init__(self, nbytes: int | str) -> None:
        self.nbytes = -(-parse_size(nbytes) // region.PAGE) * region.PAGE
        self._fd = region.create("onecopy-pool", self.nbytes)
        self._close = weakref.finalize(self, os.close, self._fd)
        self._mapping = map_fd(self._fd, self.nbytes, "shared")
        self._owner = os.getpid()

    @property
    def resident(self) -> int:
        """The bytes of its pages that exist, as the kernel counts them."""
        self._check_open()
        return os.fstat(self._fd).st_blocks * 512

    def view(self, offset: int, nbytes: int) -> memoryview:
        """Return a part of it as bytes that one can write to."""
        self._check_open()
        return self._mapping.view(offset, nbytes)

    def discard(self, start: int, end: int) -> None:
        """Give the whole pages in [start, end) back to the system; they read as zeros then."""
        self._check_open()
        first, last = -(-start // region.PAGE), end // region.PAGE
        if first < last:
            self._mapping.remove(first * region.PAGE, (last - first) * region.PAGE)

    def check(self) -> None:
        """Raise an error unless this process may allocate here."""
        self._check_open()
        if os.getpid() != self._owner:
            raise InvalidArgument(
                f"this memory belongs to process {self._owner}; make a pool after the fork"
            )

    def close(self) -> None:
        """Stop using it; a second time does nothing."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if not self._close.alive:
            raise StoreClosed("this memory of a pool is closed; make another")
