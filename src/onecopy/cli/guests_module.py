"""A guest's module from a file: Wasm, or a source that is built first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from onecopy.cli.output import complain, printable, stderr
from onecopy.errors import BuildFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from onecopy.guests.wasm.module import Module


def load_module(path: Path) -> Module:
    """Compile a guest for this machine; one in C or C++ is built first."""
    from onecopy.guests.toolchain import LANGUAGES
    from onecopy.guests.wasm.module import compile_module

    return compile_module(build_source(path) if path.suffix in LANGUAGES else path)


def build_source(path: Path, out: Path | None = None, flags: Sequence[str] = ()) -> bytes:
    """Build a guest; the compiler's message keeps its lines."""
    from onecopy.guests.toolchain import build

    try:
        return build(path, out, flags)
    except BuildFailed as error:
        first, *rest = str(error).splitlines()
        complain(first)
        for line in rest:
            stderr().print(printable(line))
        raise typer.Exit(1) from None
