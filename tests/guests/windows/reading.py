"""What a source's window would show, read without a guest."""

from __future__ import annotations

import os

import torch

from onecopy.guests.windows.source import Source


def bytes_of(source: Source) -> bytes:
    """Read what a window of the source would show of the tensor; close it."""
    with source:
        assert source.checked()
        return os.pread(source.fd, source.nbytes, source.offset + source.lead)


def raw(tensor: torch.Tensor) -> bytes:
    """Return a tensor's elements in order."""
    return tensor.contiguous().numpy().tobytes()
