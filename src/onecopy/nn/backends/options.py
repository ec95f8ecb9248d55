"""What the options of a model may be, checked; texts of the command line become numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from onecopy.errors import InvalidArgument

_T = TypeVar("_T", bound=msgspec.Struct)


def parse(options: Mapping[str, Any], known: type[_T]) -> _T:
    """Return a backend's options as the struct that describes them.

    Raises:
        InvalidArgument: one is unknown or has another type; the text lists those there are.
    """
    unknown = sorted(set(options) - set(known.__struct_fields__))
    if unknown:
        listed = ", ".join(known.__struct_fields__)
        raise InvalidArgument(f"no option {unknown[0]!r}; there are {listed}")
    try:
        return msgspec.convert(dict(options), known, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidArgument(f"options: {error}") from error


class Common(msgspec.Struct):
    """What the host may say about a model of any backend of tensors."""

    threads: int | None = None
    """How many threads compute one request; the library's default if None."""
    batch: int = 1
    """Up to how many rows may be put together: rows must not influence one another."""

    def __post_init__(self) -> None:
        for name, value in (("threads", self.threads), ("batch", self.batch)):
            if value is not None and not 1 <= value <= _MOST:
                raise ValueError(f"{name}={value}: it is from 1 to {_MOST}")


_MOST = 65536


def names(text: str | list[str]) -> list[str]:
    """Return names given as a list, or as a text with commas (or `+`, where commas part more)."""
    return text if isinstance(text, list) else list(text.replace("+", ",").split(","))
