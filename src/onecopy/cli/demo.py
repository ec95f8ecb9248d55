"""`demo`: the main jobs on real models."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Story(str, Enum):
    """What there is to be shown."""

    STORE = "store"
    GUIDED = "guided"
    PLAN = "plan"
    NN = "nn"
    AGENT = "agent"


def demo(
    story: Annotated[
        Story,
        typer.Argument(
            help="store: one real model, several worker processes. guided: a small model, trained "
            "on the spot, under controllers in WebAssembly. plan: a decoder and an encoder whose "
            "memory is planned, and fitted to budgets. nn: programs in WebAssembly that have a "
            "model of the store infer, through WASI-NN. agent: a code-review bot at work."
        ),
    ] = Story.STORE,
    model: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            exists=True,
            help="store, plan: a folder with config.json, tokenizer and *.safetensors; "
            "all-MiniLM-L6-v2 if not given.",
        ),
    ] = None,
    repo: Annotated[
        Path | None,
        typer.Option(
            file_okay=False, exists=True, help="agent: a git repository with changes to review."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="How many processes; 4 for store, 2 for guided."),
    ] = None,
) -> None:
    """Show the main jobs: a shared model, guests that steer or use one, planned memory, a bot."""
    from rich.console import Console

    from onecopy import demo

    if story is Story.GUIDED:
        from onecopy.demo import guided

        raise typer.Exit(guided.run(workers or 2, Console()))
    if story is Story.PLAN:
        from onecopy.demo import plan

        raise typer.Exit(plan.run(model, Console()))
    if story is Story.NN:
        from onecopy.demo import nn

        raise typer.Exit(nn.run(Console()))
    if story is Story.AGENT:
        from onecopy.demo import agent

        raise typer.Exit(agent.run(repo, Console()))
    raise typer.Exit(demo.run(model, workers or 4, Console()))
