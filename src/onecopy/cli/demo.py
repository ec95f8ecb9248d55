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


Chosen = Annotated[
    Story,
    typer.Argument(
        help="store: one real model, several worker processes. guided: a small model, trained "
        "on the spot, under controllers in WebAssembly. plan: a decoder and an encoder whose "
        "memory is planned, and fitted to budgets. nn: programs in WebAssembly that have a "
        "model of the store infer, through WASI-NN. agent: a code-review bot at work."
    ),
]
Model = Annotated[
    Path | None,
    typer.Option(
        file_okay=False,
        exists=True,
        help="store, plan: a folder with config.json, tokenizer and *.safetensors; "
        "all-MiniLM-L6-v2 if not given.",
    ),
]
Repository = Annotated[
    Path | None,
    typer.Option(
        file_okay=False, exists=True, help="agent: a git repository with changes to review."
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="How many processes; 4 for store, 2 for guided.")
]


def demo(
    story: Chosen = Story.STORE,
    model: Model = None,
    repo: Repository = None,
    workers: Workers = None,
) -> None:
    """Show the main jobs: a shared model, guests that steer or use one, planned memory, a bot."""
    raise typer.Exit(_play(story, model, repo, workers))


def _play(story: Story, model: Path | None, repo: Path | None, workers: int | None) -> int:
    """Play one story and return its exit code; each imports only what it needs."""
    from rich.console import Console

    from onecopy import demo

    match story:
        case Story.GUIDED:
            from onecopy.demo import guided

            return guided.run(workers or 2, Console())
        case Story.PLAN:
            from onecopy.demo import plan

            return plan.run(model, Console())
        case Story.NN:
            from onecopy.demo import nn

            return nn.run(Console())
        case Story.AGENT:
            from onecopy.demo import agent

            return agent.run(repo, Console())
        case Story.STORE:
            return demo.run(model, workers or 4, Console())
