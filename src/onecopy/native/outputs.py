"""Outputs of planned runs that lie in a memfd each, with a free page before them."""

from __future__ import annotations

from onecopy import native

made = False
"""Whether there was ever one in this process: otherwise nobody needs to ask."""


def nbytes_at(address: int) -> int:
    """Return how many bytes the output has that begins at this address; 0 if none does."""
    if not made:
        return 0
    nbytes: int = native.library().quick.onecopy_output_nbytes(address)
    return nbytes


def detach(address: int) -> int | None:
    """Make an output's pages this process's own, and return its memfd; None if it has none.

    Addresses and content stay. Its bytes begin at the second page of the memfd, which is the
    caller's to close. The caller keeps the output alive meanwhile.
    """
    fd: int = native.library().quick.onecopy_output_detach(address)
    return fd if fd >= 0 else None
