"""The demo of agents: a code-review bot, a GitHub to review on, and a model of the store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from onecopy.demo.agent.example import Change
    from onecopy.demo.agent.github.history import History

__all__ = ["run"]


def run(repository: Path | None, console: Console) -> int:
    """Play the demo and return the exit code: 0 when every check held, 1 otherwise.

    Args:
        repository: a git repository with changes to review; that of this package's source if not
            given, or an example where there is none.
        console: where to.
    """
    from onecopy.errors import OnecopyError

    try:
        return _run(repository, console)
    except OnecopyError as error:
        console.print(f"demo: {error}", style="red", markup=False, highlight=False)
        return 1


def _run(repository: Path | None, console: Console) -> int:
    from onecopy.demo.requirements import MODEL_PACKAGE, check_packages

    libraries = ("torch", "numpy", "transformers", "safetensors", "wasmtime", "aiohttp")
    check_packages((*libraries, "componentize_py", MODEL_PACKAGE))
    from transformers.utils import logging

    from onecopy.demo.agent.report import show_report
    from onecopy.demo.agent.story import Story

    logging.disable_progress_bar()
    history, changes = _subject(repository)
    with console.status("loading …") as status:
        outcome = asyncio.run(Story(history, changes, status.update).play())
    show_report(console, outcome)
    return 0 if all(check.held for check in outcome.checks) else 1


def _subject(repository: Path | None) -> tuple[History, list[Change]]:
    from onecopy.demo.agent.choosing import suiting
    from onecopy.demo.agent.example import example
    from onecopy.demo.agent.github.git_history import GitHistory
    from onecopy.errors import InvalidArgument

    if repository is not None:
        found = GitHistory(repository)
        return found, suiting(found)
    try:
        ours = GitHistory(Path(__file__).parents[4])
        return ours, suiting(ours)
    except InvalidArgument:
        history, change = example()
        return history, [change]
