"""The arguments of a call, checked: a worker whose guest has escaped may send anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from onecopy.agents.calls import INVALID, Refused


def checked(functions: Mapping[str, Any], function: str, arguments: list[Any]) -> tuple[Any, ...]:
    """Return arguments of the types that a function has.

    Args:
        functions: of each function, the type of all its arguments, such as `tuple[str, int]`.
        function: one of them.
        arguments: JSON values.

    Raises:
        Refused: there is no such function, or it takes others.

    >>> checked({"get": tuple[str]}, "get", ["key"])
    ('key',)
    """
    if function not in functions:
        raise Refused(INVALID, f"no function {function!r}; there are {', '.join(functions)}")
    try:
        found: tuple[Any, ...] = msgspec.convert(arguments, functions[function])
        # Lone surrogates are no Unicode: neither SQLite nor an endpoint takes them.
        "".join(each for each in found if isinstance(each, str)).encode()
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise Refused(INVALID, f"{function}: {error}") from None
    return found
