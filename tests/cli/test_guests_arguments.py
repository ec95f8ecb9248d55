"""Arguments that several commands of `guest` have."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from onecopy import Store, StoreUnavailable
from onecopy.cli.guests_arguments import WindowArgument, config_bytes, parse_window, refs_of
from onecopy.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("x=s/e", ("x", "s", "e", "r")),
        ("x=s/e:r", ("x", "s", "e", "r")),
        ("x=s/a/b=c:rw", ("x", "s", "a/b=c", "rw")),
        ("x=s/a:rwx", ("x", "s", "a:rwx", "r")),
    ],
)
def test_windows_are_written_so(text: str, window: tuple[str, ...]) -> None:
    assert parse_window(text) == WindowArgument(*window)


@pytest.mark.parametrize("text", ["", "x", "x=s", "x=s/", "=s/e", "x=/e"])
def test_other_forms_are_no_windows(text: str) -> None:
    with pytest.raises(InvalidArgument, match="NAME=STORE/ENTRY"):
        parse_window(text)


def test_windows_become_references_to_entries(store: Store) -> None:
    store.save("a/b", b"bytes")
    with ExitStack() as stack:
        refs = refs_of(["x=test/a/b", "y=test/later:rw"], stack)
        assert {name: (ref.name, access) for name, (ref, access) in refs.items()} == {
            "x": ("a/b", "r"),
            "y": ("later", "rw"),
        }
        assert refs["x"][0].load() == b"bytes"


def test_a_store_that_is_not_there_is_named() -> None:
    with ExitStack() as stack, pytest.raises(StoreUnavailable):
        refs_of(["x=nobody/a"], stack)


def test_a_configuration_is_a_file_s_bytes_or_a_text(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"\xff\0")
    assert config_bytes(path, "unused") == b"\xff\0"
    assert config_bytes(None, "\u00e9") == b"\xc3\xa9"
