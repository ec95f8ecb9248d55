"""Arguments of `nn run`: folders, variables, models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from onecopy.nn.model import Model

_ACCESS: Final = re.compile(r"(.+):(ro|rw)")


def parse_folder(text: str) -> tuple[str, tuple[Path, str]]:
    """Parse `HOST[:GUEST][:ro|rw]`, also with `::` between the two.

    Without a second one, the guest knows the folder by the name that it has here.
    """
    found = _ACCESS.fullmatch(text)
    rest, access = found.groups() if found else (text, "rw")
    host, colon, guest = rest.replace("::", ":", 1).partition(":")
    if not host or (colon and not guest):
        raise InvalidArgument(f"{text!r} is not HOST[:GUEST][:ro]")
    return guest or host, (Path(host), access)


def parse_variable(text: str) -> tuple[str, str]:
    """Parse `NAME=VALUE`."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidArgument(f"{text!r} is not NAME=VALUE")
    return name, value


def parse_model(text: str) -> tuple[str, Model]:
    """Parse `NAME=ENTRY|FILE[,KEY=VALUE...]`."""
    from onecopy.nn.model import Model

    name, equals, model = text.partition("=")
    if not equals or not name or not model:
        raise InvalidArgument(f"{text!r} is not NAME=ENTRY or NAME=FILE")
    return name, Model.parse(model)
