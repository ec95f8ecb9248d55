"""`guest`: writing, building and trying guests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from onecopy.cli import guests_functions, guests_module, guests_run, guests_try
from onecopy.cli.output import hint, stdout
from onecopy.errors import EntryExists, InvalidArgument
from onecopy.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(no_args_is_help=True)

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@app.callback()
def _guest() -> None:
    """Write, build and try WebAssembly guests (docs/guest-sdk.md)."""


@app.command()
def new(
    name: Annotated[
        Path, typer.Argument(metavar="NAME", help="The folder to make.", show_default=False)
    ],
    plugin: Annotated[
        bool,
        typer.Option("--plugin", help="Functions that work on tensors, instead of a controller."),
    ] = False,
) -> None:
    """Make a folder with a guest in C, what tests it, and a README."""
    if not _NAME.fullmatch(name.name):
        raise InvalidArgument(
            f"{name.name!r} is no name for a guest: letters, digits, - and _, a letter first"
        )
    if name.exists():
        raise EntryExists(f"{name} exists already; choose another name, or remove it")
    files = dict(_template("plugin" if plugin else "controller", name.name))
    name.mkdir(parents=True)
    for file, text in files.items():
        (name / file).write_text(text)
    stdout().print(f"made {name}: {', '.join(sorted(files))}")
    hint(f"next: {name / 'README.md'} has the commands that build and try it")


def _template(kind: str, name: str) -> Iterator[tuple[str, str]]:
    from onecopy.guests.toolchain import SDK

    for path in (SDK / "templates" / kind).iterdir():
        yield path.name.replace("NAME", name), path.read_text().replace("NAME", name)


@app.command()
def build(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A file in C or C++.", show_default=False)
    ],
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- FLAG...]", help="For the compiler: -O3, -g, -DNAME=VALUE."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="What to write; SOURCE with the suffix .wasm if not given."
        ),
    ] = None,
) -> None:
    """Compile a guest to WebAssembly, and check that a host can load it."""
    from onecopy.guests.wasm.module import compile_module

    path = out or source.with_suffix(".wasm")
    wasm = guests_module.build_source(source, path, flags or [])
    functions = guests_functions.signatures(compile_module(wasm).load())
    stdout().print(f"wrote {path}: {format_size(len(wasm))}")
    for each in functions:
        stdout().print(f"  {each}")
    if not functions:
        hint("nothing is exported; put OC_EXPORT before what the host is to call")


@app.command()
def include() -> None:
    """Print the folder of onecopy.h, for other compilers and for editors."""
    from onecopy.guests.toolchain import SDK

    typer.echo(SDK)


app.command(context_settings={"ignore_unknown_options": True})(guests_run.run)
app.command("test")(guests_try.try_out)
