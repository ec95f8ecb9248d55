"""`agent embedder`: what `[grants.memory]` finds texts with, saved in a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onecopy.cli.arguments import StoreName
from onecopy.cli.output import hint, stdout
from onecopy.units import format_size

Model = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The folder of a sentence encoder; MiniLM's if not given."),
]


def embedder(store: StoreName, model: Model = None) -> None:
    """Save the model that finds texts by their meaning in a store, unless it has one.

    Where MiniLM is installed, `agent run`, `test` and `serve` do this themselves.
    """
    import onecopy
    from onecopy.agents.grants.memory.default_embedder import check_packages, is_in
    from onecopy.agents.grants.memory.embedder import ENTRY, save_embedder

    with onecopy.connect(store, timeout=0) as opened:
        if is_in(opened):
            hint(f"{ENTRY} is there already; for another one: onecopy rm {store} {ENTRY}")
            return
        if model is None:
            check_packages(opened)
        save_embedder(opened, model)
        size = opened.stat(ENTRY).nbytes
    stdout().print(f"saved {ENTRY}: {format_size(size)}")
