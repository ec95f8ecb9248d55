"""Sizes and durations as people write them: `"8GiB"`, `"10m"`."""

from __future__ import annotations

import re

from onecopy.errors import InvalidArgument

_SIZE_UNITS = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGTP", start=1):
    _SIZE_UNITS[_letter] = _SIZE_UNITS[f"{_letter}IB"] = 1024**_power
    _SIZE_UNITS[f"{_letter}B"] = 1000**_power

_TIME_UNITS = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(text: int | str) -> int:
    """Turn `"8GiB"`, `"500MB"`, `"64K"` or a number into bytes.

    `KiB`, `MiB`, … and bare letters count in 1024s, `KB`, `MB`, … in 1000s.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        size = float(text)
    else:
        number, unit = _split(text, "a size such as 8GiB or 500MB")
        if unit.upper() not in _SIZE_UNITS:
            raise InvalidArgument(f"{text!r} is not a size; write it like 8GiB or 500MB")
        size = number * _SIZE_UNITS[unit.upper()]
    if size < 1:
        raise InvalidArgument(f"{text!r} is not a size; it must be at least one byte")
    return int(size)


def parse_duration(text: float | str) -> float:
    """Turn `"10m"`, `"1.5h"`, `"200ms"` or a number of seconds into seconds."""
    if isinstance(text, (int, float)):
        return float(text)
    number, unit = _split(text, "a duration such as 30s or 10m")
    if unit not in _TIME_UNITS:
        raise InvalidArgument(f"{text!r} is not a duration; write it like 30s, 10m or 1h")
    return number * _TIME_UNITS[unit]


def _split(text: object, wanted: str) -> tuple[float, str]:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(text))
    if match is None:
        raise InvalidArgument(f"{text!r} is not {wanted}")
    return float(match[1]), match[2]


def format_size(nbytes: float) -> str:
    """Write a number of bytes with three significant digits: `"1.21 GiB"`."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if nbytes < 1024 or unit == "TiB":
            break
        nbytes /= 1024
    # .3g would write 1,010 KiB as 1.01e+03.
    return f"{nbytes:.0f} {unit}" if unit == "B" or nbytes >= 999.5 else f"{nbytes:.3g} {unit}"
