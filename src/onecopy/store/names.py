"""What entries and stores may be called."""

from __future__ import annotations

import re
from typing import Final

from onecopy.errors import InvalidArgument

NAME_LIMIT: Final = 255

HIDDEN: Final = "__onecopy/"
"""Entries whose names begin so are parts of others: they are listed only if asked for."""

_STORE_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


def check_name(name: object) -> bytes:
    """Return an entry's name as UTF-8: 1 to 255 bytes, no NUL; `/` is just a character."""
    if not isinstance(name, str):
        raise InvalidArgument(f"a name must be a str, not {type(name).__name__}")
    try:
        key = name.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"the name {name!r} is not valid Unicode") from None
    if not 0 < len(key) <= NAME_LIMIT or b"\0" in key:
        raise InvalidArgument(
            f"the name {name[:40]!r} has {len(key)} bytes; names have 1 to {NAME_LIMIT} bytes of "
            "UTF-8 and no NUL"
        )
    return key


def check_store_name(name: object) -> str:
    """Return a store's name: up to 100 letters, digits, `.`, `_`, `-`, not starting with a dot."""
    if not isinstance(name, str) or not _STORE_NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name!r} cannot name a store; use up to 100 letters, digits, '.', '_' and '-', not "
            "starting with a dot"
        )
    return name
