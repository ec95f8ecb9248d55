"""`demo`: the main job on a real model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    model: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            exists=True,
            help="A folder with config.json, tokenizer and *.safetensors; all-MiniLM-L6-v2 if not "
            "given.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="How many processes embed.")] = 4,
) -> None:
    """Share one real model between worker processes, and compare with a copy for each."""
    from rich.console import Console

    from onecopy.demo import run

    raise typer.Exit(run(model, workers, Console()))
