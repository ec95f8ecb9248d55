"""Where all of a value's memory lies, as the store asks it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from onecopy.tensors.arena import Arena, locate


def plan(pieces: Iterable[tuple[Any, ...]]) -> tuple[Arena, list[int]] | None:
    """Return the one arena in which all pieces (address, bytes, …) lie clean, and their offsets."""
    found = [locate(address, nbytes) for address, nbytes, *_ in pieces]
    arenas = {None if at is None else at[0] for at in found}
    arena = arenas.pop() if len(arenas) == 1 else None
    return None if arena is None else (arena, [at[1] for at in found if at is not None])
