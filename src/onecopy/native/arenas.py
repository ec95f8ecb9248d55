"""What the library says of an arena (`arena.h`)."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

from onecopy import native


class Facts(NamedTuple):
    """What an arena holds, in bytes unless it says otherwise."""

    base: int
    """The address of its first byte."""
    nbytes: int
    fd: int
    """-1 if the arena was inherited by fork."""
    blocks: int
    """How many blocks live."""
    used: int
    """What they occupy, rounded as they are."""
    warm: int
    """Free pages that are kept in memory until the last thread leaves."""
    closed: int
    """Pages that are never used again: frozen, or in use when this process forked."""
    refused: int
    """How many allocations found no room and went to torch's own allocator."""
    refused_bytes: int
    open: int
    """How many `with` blocks have it entered."""


class _Facts(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64 if name == "fd" else ctypes.c_uint64) for name in Facts._fields
    ]


def facts_of(number: ctypes.c_uint64) -> Facts | None:
    """Return what the arena of that id holds, or None when it has ended."""
    facts = _Facts()
    if native.library().quick.onecopy_arena_facts(number, ctypes.byref(facts)):
        return None
    return Facts(*(getattr(facts, name) for name in Facts._fields))
