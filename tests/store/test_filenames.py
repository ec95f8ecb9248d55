from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.store.filenames import file_name


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("model-1.0_b", "model-1.0_b.safetensors"),
        ("runs/1", "runs%2F1.safetensors"),
        (".hidden", "%2Ehidden.safetensors"),
        ("ü", "%C3%BC.safetensors"),
        ("a~b%", "a%7Eb%25.safetensors"),
        ("a" * 243, "a" * 243 + ".safetensors"),
    ],
)
def test_names_are_readable_where_they_can_be(name: str, file: str) -> None:
    assert file_name(name.encode()) == file


def test_long_names_keep_their_beginning() -> None:
    assert re.fullmatch(r"a{60}~[0-9a-f]{32}\.safetensors", file_name(b"a" * 244))


@given(st.sets(st.binary(min_size=1, max_size=255), min_size=2))
def test_every_name_has_a_file_name_of_its_own(keys: set[bytes]) -> None:
    names = {file_name(key) for key in keys}
    assert len(names) == len(keys)
    assert all(len(name) <= 255 and "/" not in name for name in names)
    assert not any(name.startswith(".") for name in names)
