"""What the error numbers of the library mean to those who called it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from onecopy.errors import InvalidArgument, LimitReached

if TYPE_CHECKING:
    from collections.abc import Mapping


def check(code: int, misuses: Mapping[int, str], advice: str) -> None:
    """Raise what `code` stands for; nothing if it is 0.

    Args:
        code: an errno.
        misuses: what the caller did wrong, by errno.
        advice: what to do where there is no room for another arena.

    Raises:
        LimitReached: there is no address space, or no memory map, left.
        InvalidArgument: any other errno.
    """
    if code == 0:
        return
    if code == errno.ENOMEM:
        raise LimitReached(
            code,
            "no address space, or no memory map, is left for an arena (ulimit -v, the sysctl "
            f"vm.max_map_count); {advice}",
        )
    raise InvalidArgument(misuses.get(code, f"the allocator refused: {os.strerror(code)}"))
