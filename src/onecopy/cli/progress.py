"""A bar for long copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from onecopy.cli.output import printable, stderr


@contextmanager
def progress(title: str, nbytes: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on the terminal, if there is one, and yield what advances it."""
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn(escape(printable(title))),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    console = stderr()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=nbytes)
        yield lambda count: bar.advance(task, count)
