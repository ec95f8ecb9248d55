"""The demo of planned runs: real models in one arena, and how long a context a budget allows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["run"]


def run(model: Path | None, console: Console) -> int:
    """Play the demo and return the exit code: 0 when every check held, 1 otherwise.

    `model` is a folder with an encoder of transformers; all-MiniLM-L6-v2 without it.
    """
    from onecopy.errors import OnecopyError

    try:
        return _run(model, console)
    except OnecopyError as error:
        console.print(f"demo: {error}", style="red", markup=False, highlight=False)
        return 1


def _run(model: Path | None, console: Console) -> int:
    from onecopy.demo.requirements import MODEL_PACKAGE, check_packages

    check_packages(("torch", "numpy", "sympy", "transformers", "safetensors"))
    if model is None:
        check_packages((MODEL_PACKAGE,))
    from onecopy.demo.plan.report import show_report
    from onecopy.demo.plan.story import SHAPES, Story
    from onecopy.demo.plan.subject import decoder, encoder

    with console.status("loading …") as status:
        outcomes = Story((decoder(), encoder(model)), SHAPES, status.update).play()
    show_report(console, outcomes)
    return 0 if all(check.held for each in outcomes for check in each.checks) else 1
