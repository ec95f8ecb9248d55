"""The demo of guided decoding: a small model under controllers written in C."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["run"]


def run(workers: int, console: Console) -> int:
    """Play the demo and return the exit code: 0 when every check held, 1 otherwise."""
    from onecopy.errors import OnecopyError

    try:
        return _run(workers, console)
    except OnecopyError as error:
        console.print(f"demo: {error}", style="red", markup=False, highlight=False)
        return 1


def _run(workers: int, console: Console) -> int:
    from onecopy.demo.guided.language_model import train
    from onecopy.demo.guided.report import show_report
    from onecopy.demo.guided.story import Story
    from onecopy.demo.requirements import check_packages

    check_packages(
        ("torch", "numpy", "transformers", "tokenizers", "wasmtime", "llguidance", "ziglang")
    )
    with console.status("training a model …") as status:
        model = train(progress=lambda done: status.update(f"training a model … {done:.0%}"))
        outcome = Story(model, workers, status.update).play()
    show_report(console, outcome, workers)
    return 0 if all(check.held for check in outcome.checks) else 1
