"""A guest's module from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from onecopy import InvalidModule
from onecopy.cli.guests_module import build_source, load_module
from onecopy.guests.wasm.module import Module

pytestmark = pytest.mark.usefixtures("compiler")

SOURCE = """
#include "onecopy.h"
OC_EXPORT int one(void) { return 1; }
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "x.c"
    path.write_text(SOURCE)
    return path


def test_a_source_is_built_and_compiled(source: Path) -> None:
    assert isinstance(load_module(source), Module)
    assert not source.with_suffix(".wasm").exists()


def test_wasm_in_a_file_is_the_same_module(source: Path) -> None:
    out = source.with_suffix(".wasm")
    assert build_source(source, out) == out.read_bytes()
    assert load_module(out).digest == load_module(source).digest


def test_what_the_compiler_says_keeps_its_lines_and_steers_no_terminal(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source.write_text("#error \x1b[31mno\nint x = ;\n")
    with pytest.raises(typer.Exit):
        build_source(source)
    told = capsys.readouterr().err
    assert len(told.splitlines()) > 2
    assert "\x1b" not in told


def test_what_is_no_wasm_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.wasm").write_bytes(b"no Wasm")
    with pytest.raises(InvalidModule):
        load_module(tmp_path / "x.wasm")
