"""What a window shows: a range of a segment, and the tensor that lies there."""

from __future__ import annotations

import os
from dataclasses import dataclass

from onecopy.guests.memory import PAGE, pages


@dataclass
class Source:
    """One tensor in one open segment; whoever made it closes it."""

    fd: int
    """Open for writing too if `writable`."""
    offset: int
    """Where its first page starts in the segment: a multiple of 4096."""
    lead: int
    """How far into that page the tensor's first byte lies; 0 if writable."""
    nbytes: int
    dtype: str
    """A name of safetensors, as in `control.DTYPES`."""
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """In elements."""
    writable: bool = False
    copied: bool = False
    """A copy of what could not be mapped: nobody else sees what is written to it."""

    @property
    def extent(self) -> int:
        """The bytes of whole pages that a window of it covers."""
        return pages(self.lead + self.nbytes)

    def checked(self) -> bool:
        """Return whether the segment has all of these bytes: a page past its end is SIGBUS."""
        end = self.offset + self.lead + self.nbytes
        return self.offset % PAGE == 0 and os.fstat(self.fd).st_size >= end

    def close(self) -> None:
        """Close the segment; windows that show it stay."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
