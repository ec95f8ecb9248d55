"""What guests may import: the host, the header and the documentation agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import onecopy.guests
from onecopy.guests.decoding.controller_host import ControllerHost
from onecopy.guests.instance.host import Host
from onecopy.guests.wasm import abi

HEADER = (Path(onecopy.guests.__file__).parent / "sdk" / "onecopy.h").read_text()
PAGE = (Path(__file__).parents[3] / "docs" / "guest-abi.md").read_text()
ERRORS = ("HANDLE", "RANGE", "INVALID", "LIMIT", "MISSING", "DENIED")


@pytest.mark.parametrize("name", abi.SIGNATURES)
def test_every_import_is_declared_and_documented(name: str) -> None:
    assert f'OC_IMPORT("{name}")' in HEADER
    assert f"`{name}" in PAGE


@pytest.mark.parametrize("name", abi.SIGNATURES)
def test_every_import_is_done_by_some_host(name: str) -> None:
    assert any(callable(getattr(each, name, None)) for each in (Host, ControllerHost)), name


def test_signatures_are_of_what_guests_exchange() -> None:
    for params, results in abi.SIGNATURES.values():
        assert {*params, *results} <= {"i32", "i64"}
        assert len(results) <= 1


def test_errors_are_negative_and_told_apart() -> None:
    numbers = [getattr(abi, each) for each in ERRORS]
    assert abi.OK == 0
    assert all(number < 0 for number in numbers)
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("name", ERRORS)
def test_errors_have_the_numbers_of_the_header(name: str) -> None:
    found = re.search(rf"\bOC_ERR_{name} = (-\d+)", HEADER)
    assert found is not None, name
    assert int(found[1]) == getattr(abi, name)
