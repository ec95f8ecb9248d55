"""Sizes and durations in a manifest: numbers, or as people write them."""

from __future__ import annotations

from typing import Any

import msgspec

from onecopy.units import parse_duration, parse_size


class Size(int):
    """A number of bytes, written `65536` or `"64KiB"`; anything else is a `ValueError`."""

    def __new__(cls, value: Any) -> Size:
        """Read one; what is none is a `ValueError` that says what to write."""
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError(f'{value!r} is not a size; write it like "64MiB"')
        return super().__new__(cls, parse_size(value))


class Duration(float):
    """A number of seconds, written `90` or `"1.5m"`, above zero and at most ten years."""

    def __new__(cls, value: Any) -> Duration:
        """Read one; what is none is a `ValueError` that says what to write."""
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError(f'{value!r} is not a duration; write it like "30s"')
        seconds = parse_duration(value)
        if not 0 < seconds <= 10 * 366 * 86400:
            raise ValueError(f'{value!r} is not a duration above zero; write it like "30s"')
        return super().__new__(cls, seconds)


def plain(struct: msgspec.Struct) -> None:
    """Make the sizes and durations of a struct plain numbers: msgspec encodes no others."""
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if isinstance(value, Size):
            msgspec.structs.force_setattr(struct, name, int(value))
        elif isinstance(value, Duration):
            msgspec.structs.force_setattr(struct, name, float(value))
