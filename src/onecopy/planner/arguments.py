"""What a module is called with, as callers give it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onecopy.errors import InvalidArgument


def arguments(args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the example's arguments; a tensor by itself is no list of its rows.

    Raises:
        InvalidArgument: they are no tuple or list, and no dict.
    """
    if not isinstance(args, (tuple, list)):
        raise InvalidArgument(
            f"the example's args are a tuple, as (ids,), not {type(args).__name__}"
        )
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise InvalidArgument(
            f"the example's kwargs are a dict by parameter, not {type(kwargs).__name__}"
        )
    return tuple(args), dict(kwargs or {})
