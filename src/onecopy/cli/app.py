"""All commands in one application."""

from __future__ import annotations

import errno
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from onecopy._version import __version__
from onecopy.cli import (
    agent,
    bench,
    demo,
    disk,
    doctor,
    entries,
    get,
    guests,
    nn,
    plan,
    put,
    serve,
    top,
)
from onecopy.cli.output import complain
from onecopy.errors import BuildFailed, OnecopyError
from onecopy.extras import missing


class Commands(TyperGroup):
    """Shows errors that were foreseen as one line; anything else is a bug, with its traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except BuildFailed as error:
            complain(*str(error).splitlines())
        except OnecopyError as error:
            complain(str(error))
        except ModuleNotFoundError as error:
            if (lacking := missing(error.name)) is None:
                raise
            complain(str(lacking))
        except OSError as error:
            # A file that the user named. Errors without one are ours, or a closed pipe.
            if error.filename is None or error.errno == errno.EPIPE:
                raise
            complain(f"{error.filename}: {error.strerror}")
        raise typer.Exit(1)


app = typer.Typer(
    name="onecopy",
    cls=Commands,
    help="One copy of every tensor per host: a shared-memory store of tensors.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_STORES = "Stores"
_ENTRIES = "Entries"
_DISK = "Disk"
_GUESTS = "Guests"
_AGENTS = "Agents"
_PLANS = "Plans of memory"
_MACHINE = "This machine"

for _panel, _commands in {
    _STORES: (serve.serve, serve.stop, top.top),
    _ENTRIES: (entries.ls, entries.stat, entries.rm, put.put, get.get),
    _DISK: (disk.snapshot, disk.verify),
    _MACHINE: (doctor.doctor, bench.bench, demo.demo),
}.items():
    for _command in _commands:
        _class = put.PutCommand if _command is put.put else None
        app.command(cls=_class, rich_help_panel=_panel)(_command)

app.add_typer(guests.app, name="guest", rich_help_panel=_GUESTS)
app.add_typer(nn.app, name="nn", rich_help_panel=_GUESTS)
app.add_typer(agent.app, name="agent", rich_help_panel=_AGENTS)
app.add_typer(plan.app, name="plan", rich_help_panel=_PLANS)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"onecopy {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass
