"""`top`: a live view of a store."""

from __future__ import annotations

import contextlib
import select
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from onecopy.cli.arguments import Json, StoreName, duration
from onecopy.cli.output import (
    flags_of,
    format_duration,
    printable,
    show_json,
    stdout,
    table,
    yes_or_no,
)
from onecopy.units import format_size

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from onecopy.cli.sample import Row, Sample, Sampler
    from onecopy.store.messages import StoreStats

_BAR_WIDTH = 40
# Lines of the screen that entries do not get: facts, bar, blank, column titles, how to leave.
_OTHER_LINES = 6


def top(
    store: StoreName,
    interval: Annotated[
        float, typer.Option(parser=duration, metavar="DURATION", help="Between two looks.")
    ] = 1,
    once: Annotated[
        bool, typer.Option("--once", help="Look twice, an interval apart, print, and end.")
    ] = False,
    json: Json = False,
) -> None:
    """Watch a store: its entries by loads per second, then by size. Press q to leave.

    With --json, or when the output is no terminal, it prints once and ends.
    """
    from onecopy.cli.sample import Sampler
    from onecopy.cli.stores import open_store

    with open_store(store) as opened, contextlib.suppress(KeyboardInterrupt):
        sampler = Sampler(opened)
        if once or json or not stdout().is_terminal:
            _show_once(sampler, interval, json)
        else:
            _show_live(sampler, interval)


def _show_once(sampler: Sampler, interval: float, json: bool) -> None:
    sampler.take()
    time.sleep(interval)
    sample = sampler.take()
    if json:
        show_json(sample.to_facts())
    else:
        stdout().print(picture(sample, len(sample.rows)))


def _show_live(sampler: Sampler, interval: float) -> None:
    from rich.live import Live

    console = stdout()
    with Live(console=console, screen=True, auto_refresh=False) as live, _keys() as wants_to_leave:
        while True:
            rows = max(console.size.height - _OTHER_LINES, 1)
            live.update(picture(sampler.take(), rows), refresh=True)
            if wants_to_leave(interval):
                return


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Yield a function that waits so many seconds, and says whether q was pressed meanwhile."""
    import termios
    import tty

    if not sys.stdin.isatty():
        yield _never_pressed
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield _pressed
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _never_pressed(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _pressed(seconds: float) -> bool:
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready) and sys.stdin.read(1).lower() in ("q", "")


def picture(sample: Sample, rows: int) -> Group:
    """Draw a sample, with so many entries at most."""
    from rich.console import Group
    from rich.text import Text

    hidden = len(sample.rows) - rows
    below = [Text(f"… and {hidden} more", style="dim")] if hidden > 0 else []
    return Group(*_head(sample.stats), Text(), _entries(sample.rows[:rows]), *below)


def _head(stats: StoreStats) -> tuple[Table, Table]:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    facts = Table.grid(padding=(0, 3))
    facts.add_row(
        f"store {stats.name}",
        f"entries {stats.entries}",
        # This command is one of them.
        f"clients {stats.clients - 1}",
        f"evicted {stats.evicted}",
        f"expired {stats.expired}",
        f"lingering {format_size(stats.lingering)}",
        f"up {format_duration(time.time() - stats.started)}",
    )
    bar = Table.grid(padding=(0, 3))
    filled = ProgressBar(total=stats.capacity, completed=stats.used, width=_BAR_WIDTH)
    percent = 100 * stats.used / stats.capacity
    full = f"{format_size(stats.used)} of {format_size(stats.capacity)} ({percent:.0f} %)"
    bar.add_row(filled, full)
    return facts, bar


def _entries(rows: list[Row]) -> Table:
    columns = ("name", "size", "in use", "hits", "hits/s", "flags", "age")
    result = table(*columns, numbers=("size", "hits", "hits/s", "age"))
    for entry, rate in rows:
        result.add_row(
            printable(entry.name),
            format_size(entry.nbytes),
            yes_or_no(entry.in_use),
            str(entry.hits),
            f"{rate:.0f}",
            flags_of(entry),
            format_duration(time.time() - entry.created),
        )
    return result
