"""Masks as sets of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onecopy.guests.decoding.grammar import Grammar
    from onecopy.guests.decoding.grammar_engine import Matcher


def allowed(source: Grammar | Matcher, size: int) -> set[int]:
    """Return the tokens of a mask of `size` bits."""
    row = np.zeros((size + 31) // 32, np.uint32)
    assert source.mask(row.ctypes.data, row.nbytes)
    return set(np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little")).tolist())
