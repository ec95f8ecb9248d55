"""Folders, variables and models as the command line has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from onecopy.cli.nn_arguments import parse_folder, parse_model, parse_variable
from onecopy.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "name", "path", "access"),
    [
        (".", ".", ".", "rw"),
        ("data:/x", "/x", "data", "rw"),
        ("data::/x", "/x", "data", "rw"),
        ("data:ro", "data", "data", "ro"),
        ("data:/x:ro", "/x", "data", "ro"),
        ("data:/x:rw", "/x", "data", "rw"),
        ("data:x:y", "x:y", "data", "rw"),
    ],
)
def test_a_folder_has_a_name_for_the_guest(text, name, path, access):
    assert parse_folder(text) == (name, (Path(path), access))


@pytest.mark.parametrize("text", ["", ":x", "x:", "::"])
def test_half_a_folder_is_refused(text):
    with pytest.raises(InvalidArgument):
        parse_folder(text)


def test_a_variable_may_be_empty_or_hold_more():
    assert parse_variable("K=") == ("K", "")
    assert parse_variable("K=a=b") == ("K", "a=b")
    for text in ("K", "=v", ""):
        with pytest.raises(InvalidArgument):
            parse_variable(text)


def test_a_model_has_options():
    name, model = parse_model("x=file.onnx,backend=onnx,threads=2")
    assert (name, model.what, model.backend, model.options) == (
        *("x", "file.onnx", "onnx"),
        {"threads": 2},
    )
    for text in ("x", "=y", "x="):
        with pytest.raises(InvalidArgument):
            parse_model(text)
