"""`guest run`: one call of a guest, with entries of stores as its windows."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onecopy.cli.arguments import duration
from onecopy.cli.guests_arguments import (
    Config,
    ConfigText,
    MemoryLimit,
    WindowArguments,
    config_bytes,
    refs_of,
)
from onecopy.cli.guests_functions import numbers
from onecopy.cli.guests_module import load_module
from onecopy.cli.output import hint, printable, stdout

if TYPE_CHECKING:
    from onecopy.guests.wasm.module import Module


def run(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A guest: .wasm, or .c to build.", show_default=False),
    ],
    function: Annotated[
        str, typer.Argument(metavar="FUNCTION", help="What to call.", show_default=False)
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGUMENT]...", help="Numbers.")
    ] = None,
    window: WindowArguments = None,
    config: Config = None,
    config_text: ConfigText = "",
    seconds: Annotated[
        float, typer.Option(parser=duration, metavar="DURATION", help="How long it may take.")
    ] = 10.0,
    memory: MemoryLimit = 64 << 20,
) -> None:
    """Call a function of a guest, and print what it returns; what it logs goes to stderr.

    It runs in a process of its own, which can do nothing else.
    """
    module = load_module(file)
    called = numbers(function, module.load(), arguments or [])
    options = {"config": config_bytes(config, config_text), "memory_limit": memory}
    result = _call(module, function, called, window or [], seconds, options)
    if result is not None:
        stdout().print(str(result))


def _call(
    module: Module,
    function: str,
    called: list[float],
    windows: list[str],
    seconds: float,
    options: dict[str, Any],
) -> float | None:
    from onecopy.guests.workers.handle import Guest
    from onecopy.guests.workers.pool import Pool

    with ExitStack() as stack:
        pool = stack.enter_context(Pool(start_ms=seconds * 1000))
        guest = Guest(module, refs_of(windows, stack), pool=pool, **options)
        stack.enter_context(guest)
        try:
            result: float | None = guest.call(function, *called, timeout=seconds)
            return result
        finally:
            for _level, text in guest.logs:
                hint(printable(text))
