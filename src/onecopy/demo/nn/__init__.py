"""The demo of inference for guests: a program in C and the model of a store, through WASI-NN."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["run"]


def run(console: Console) -> int:
    """Play the demo and return the exit code: 0 when every check held, 1 otherwise."""
    from onecopy.errors import OnecopyError

    try:
        return _run(console)
    except OnecopyError as error:
        console.print(f"demo: {error}", style="red", markup=False, highlight=False)
        return 1


def _run(console: Console) -> int:
    from onecopy.demo.requirements import MODEL_PACKAGE, check_packages

    libraries = ("torch", "numpy", "transformers", "safetensors", "llguidance")
    check_packages((*libraries, "wasmtime", "ziglang", MODEL_PACKAGE))
    import torch

    from onecopy.demo.checkpoint import Checkpoint
    from onecopy.demo.nn.report import show_report
    from onecopy.demo.nn.story import AT_ONCE, Story

    _be_quiet()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with console.status("loading …") as status:
            outcome = Story(Checkpoint.find(None), AT_ONCE, status.update).play()
    finally:
        torch.set_num_threads(threads)
    show_report(console, outcome, AT_ONCE)
    return 0 if all(check.held for check in outcome.checks) else 1


def _be_quiet() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()
