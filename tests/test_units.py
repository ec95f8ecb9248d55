from __future__ import annotations

import pytest

from onecopy.errors import InvalidArgument
from onecopy.units import format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        (5, 5),
        ("5", 5),
        ("8GiB", 8 << 30),
        ("8 GiB", 8 << 30),
        ("64K", 64 << 10),
        ("1.5M", 3 << 19),
        ("500MB", 500_000_000),
        ("2tib", 2 << 40),
    ],
)
def test_sizes_are_read_as_people_write_them(text: int | str, nbytes: int) -> None:
    assert parse_size(text) == nbytes


@pytest.mark.parametrize("text", ["", "GiB", "-5", "0", 0, "5 XB", "1e9", "five"])
def test_what_is_no_size_is_refused(text: int | str) -> None:
    with pytest.raises(InvalidArgument, match="size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [(3, 3.0), ("3", 3.0), ("200ms", 0.2), ("10m", 600.0), ("1.5h", 5400.0)]
)
def test_durations_are_read_as_people_write_them(text: float | str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "3 weeks", "-1s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1300, "1.27 KiB"), (1 << 40, "1 TiB")],
)
def test_sizes_are_shown_with_three_digits(nbytes: int, text: str) -> None:
    assert format_size(nbytes) == text


def test_a_thousand_of_a_unit_is_not_written_with_an_exponent() -> None:
    assert format_size(1010 * 1024) == "1010 KiB"
    assert format_size(999.7 * 1024**2) == "1000 MiB"
    assert format_size(5000 * 1024**4) == "5000 TiB"
