"""What a window shows: a range of a segment, and the tensor that lies there."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from onecopy.guests.wasm.memory import PAGE, pages
from onecopy.segments import region

if TYPE_CHECKING:
    from onecopy.guests.windows.tensor_view import TensorView

Access = Literal["r", "rw"]
ACCESSES: Final[tuple[Access, ...]] = ("r", "rw")


class Fields(msgspec.Struct, frozen=True, array_like=True):
    """A source without its descriptor: what travels beside it to another process."""

    offset: int
    lead: int
    nbytes: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    writable: bool = False
    copied: bool = False


@dataclass
class Source:
    """One tensor in one open segment; whoever made it closes it.

    `fields()` and `fd` are all that another process needs (`from_fields`), as long as `owner` is
    kept here.
    """

    fd: int
    """Open for writing too if `writable`."""
    offset: int
    """Where its first page starts in the segment: a multiple of 4096."""
    lead: int
    """How far into that page the tensor's first byte lies; 0 if writable."""
    nbytes: int
    """From the tensor's first byte to its last."""
    dtype: str
    """A name of safetensors, as in `control.DTYPES`."""
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """In elements."""
    writable: bool = False
    copied: bool = False
    """A copy of what could not be mapped: nobody else sees what is written to it."""
    owner: object = field(default=None, repr=False, compare=False)
    """Keeps the bytes from being used for something else; windows hold on to it."""

    @property
    def extent(self) -> int:
        """The bytes of whole pages that a window of it covers."""
        return pages(self.lead + self.nbytes)

    def checked(self) -> bool:
        """Return whether the segment has all of these bytes, and keeps them.

        A page past its end is SIGBUS: so a memfd has seals on its size, and a file is one that
        nobody may write to, as those of a store are.
        """
        status = os.fstat(self.fd)
        end = self.offset + self.lead + self.nbytes
        fits = self.offset % PAGE == 0 and self.offset >= 0 and status.st_size >= end
        return fits and (region.keeps_size(self.fd) or _is_settled(status))

    def is_immutable(self) -> bool:
        """Return whether nobody can change the segment's bytes any more."""
        return region.is_immutable(self.fd) or _is_settled(os.fstat(self.fd))

    def fields(self) -> Fields:
        """Return all but the descriptor and the owner."""
        return Fields(
            *(self.offset, self.lead, self.nbytes, self.dtype, self.shape, self.strides),
            *(self.writable, self.copied),
        )

    @classmethod
    def of(cls, view: TensorView, fd: int, at: int, access: Access, owner: object) -> Source:
        """Return the source of a tensor whose first byte is at `at` in a segment."""
        return cls(
            fd=fd,
            offset=at // PAGE * PAGE,
            lead=at % PAGE,
            nbytes=view.nbytes,
            dtype=view.dtype,
            shape=view.shape,
            strides=view.strides,
            writable=access == "rw",
            owner=owner,
        )

    @classmethod
    def from_fields(cls, fields: Fields, fd: int) -> Source:
        """Return the source that `fields` describe; `fd` is closed with it."""
        return cls(fd, *msgspec.structs.astuple(fields))

    def close(self) -> None:
        """Close the segment; windows that show it stay."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_settled(status: os.stat_result) -> bool:
    mine = status.st_uid in (os.geteuid(), 0)
    return mine and stat.S_ISREG(status.st_mode) and not status.st_mode & 0o222
