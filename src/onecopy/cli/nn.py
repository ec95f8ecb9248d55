"""`nn`: guests of WASI-NN on models of this machine."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from onecopy.cli import nn_arguments, nn_models
from onecopy.cli.guests_arguments import refs_of
from onecopy.cli.nn_arguments import parse_folder, parse_variable
from onecopy.cli.output import complain, hint, printable
from onecopy.errors import GuestError, GuestTimeout, GuestTrapped, WorkerLost

if TYPE_CHECKING:
    from onecopy.nn.host import Host

app = typer.Typer(no_args_is_help=True)

# As a shell has them: what `timeout` exits with, and 128 and the signal's number.
_TIMED_OUT: Final = 124
_ABORTED: Final = 134
_KILLED: Final = 137


app.command()(nn_models.models)


@app.callback()
def _nn() -> None:
    """Run WebAssembly guests that ask their host for inference (docs/nn.md)."""


@app.command(context_settings={"ignore_unknown_options": True})
def run(
    guest: nn_arguments.Guest,
    args: nn_arguments.Arguments = None,
    folders: nn_arguments.Folders = None,
    env: nn_arguments.Variables = None,
    models: nn_arguments.Models = None,
    store: nn_arguments.StoreName = "",
    timeout: nn_arguments.Timeout = None,
    memory: nn_arguments.Memory = 1 << 30,
    load: nn_arguments.MayLoad = True,
    windows: nn_arguments.Windows = None,
) -> None:
    """Run a guest, and exit with its status; or 124 if it took too long, 134 if it trapped.

    It runs in a process of its own, which reaches its folders and models and
    nothing else.
    """
    _log_to_stderr()
    options: dict[str, Any] = {
        "args": args or [],
        "env": dict(map(parse_variable, env or [])),
        "dirs": dict(map(parse_folder, folders or [])),
        "timeout": timeout,
        "memory_limit": memory,
    }
    with ExitStack() as stack:
        options["windows"] = refs_of(windows or [], stack)
        host = _host(models or [], store, load, stack)
        raise typer.Exit(_status(host, guest, options))


def _host(models: list[str], store: str, load: bool, stack: ExitStack) -> Host:
    from onecopy.cli.stores import open_store
    from onecopy.nn import Host

    opened = stack.enter_context(open_store(store)) if store else None
    named = dict(map(nn_arguments.parse_model, models))
    return stack.enter_context(Host(named, store=opened, guests_may_load=load))


def _status(host: Host, guest: Path, options: dict[str, Any]) -> int:
    try:
        return host.run(guest, **options)
    except (GuestError, WorkerLost) as error:
        first, *more = str(error).splitlines()
        complain(first)
        for line in more:
            hint(printable(line))
        return _of_error(error)


def _of_error(error: Exception) -> int:
    match error:
        case GuestTimeout():
            return _TIMED_OUT
        case GuestTrapped():
            return _ABORTED
    return _KILLED


def _log_to_stderr() -> None:
    """Show why calls of the guest are refused: it gets nothing but a number."""

    class Hints(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            hint(printable(record.getMessage()))

    log = logging.getLogger("onecopy.nn")
    if not any(type(each).__name__ == Hints.__name__ for each in log.handlers):
        log.addHandler(Hints())
        log.setLevel(logging.INFO)


@app.command()
def include() -> None:
    """Print the folder of wasi_nn.h, for compilers and editors."""
    from onecopy.guests.toolchain import COMMAND_SDK

    typer.echo(COMMAND_SDK)
