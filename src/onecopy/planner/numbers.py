"""Whole numbers, as callers give them: Python's, and numpy's."""

from __future__ import annotations

import operator
from typing import Any

from onecopy.errors import InvalidArgument


def whole(value: Any, what: str) -> int:
    """Return a whole number as an int; a truth value is none.

    Raises:
        InvalidArgument: it is something else.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise InvalidArgument(f"{what} is a whole number, not {value!r}") from None
