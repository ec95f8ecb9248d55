"""`agent serve`: agents that wait for webhooks and times."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onecopy import service_manager
from onecopy.cli.agent_arguments import State, StoreName
from onecopy.cli.agent_run import connected
from onecopy.cli.output import hint

if TYPE_CHECKING:
    from onecopy.agents.server.server import Server

Folders = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[DIR]...", help="Folders with agent.toml; the current one if none."),
]
Listen = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="Where webhooks arrive; the public side.")
]
Status = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT", help="The status page and metrics; keep it on a private address."
    ),
]
StatusNames = Annotated[
    list[str] | None,
    typer.Option(
        "--status-name",
        metavar="NAME",
        help="A host name under which the status page is reached, besides localhost and addresses.",
    ),
]
Processes = Annotated[
    int, typer.Option("--workers", min=1, max=64, help="Worker processes of each agent.")
]


def serve(
    folders: Folders = None,
    listen: Listen = "127.0.0.1:8080",
    status: Status = "127.0.0.1:8081",
    status_name: StatusNames = None,
    workers: Processes = 1,
    state: State = None,
    store: StoreName = "",
) -> None:
    """Serve agents until ^C or SIGTERM; what runs then is run again by the next server.

    Port 0 is any that is free; the addresses are shown once events are taken.
    """
    from onecopy.agents.server.server import Server
    from onecopy.agents.server.site import Address

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level="INFO")
    server = Server(
        folders or [Path()],
        listen=Address.parse(listen),
        status=Address.parse(status),
        processes=workers,
        state=state,
        store=connected(store),
        status_names=status_name or (),
    )
    asyncio.run(_until_told(server))


async def _until_told(server: Server) -> None:
    task = asyncio.create_task(server.run(lambda: _ready(server)))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _ready(server: Server) -> None:
    gc.freeze()  # or each full collection would look at all that was imported, for 20 ms
    _show(server)
    service_manager.notify("READY=1")


def _show(server: Server) -> None:
    for path in server.paths:
        hint(f"webhook   {server.public_url}{path}")
    for name in server.idle:
        hint(f"{name} has neither webhooks nor a schedule: only onecopy agent run calls it")
    hint(f"status    {server.status_url}")
