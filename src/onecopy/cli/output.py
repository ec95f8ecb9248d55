"""How the command line shows things: tables for people, JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console
    from rich.table import Table

    from onecopy.store.messages import EntryStat

# In a pipe nothing is cut or wrapped: a program or grep reads it.
_UNLIMITED = 100_000


def stdout() -> Console:
    """Return the console for results."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    return (
        console
        if console.is_terminal
        else Console(highlight=False, markup=False, emoji=False, width=_UNLIMITED)
    )


def stderr() -> Console:
    """Return the console for what is not a result: errors, progress, hints."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def complain(text: str, *more: str) -> None:
    """Print an error, in red where there is colour; `more` are lines, of a compiler for example."""
    lines = [f"onecopy: {printable(text)}", *map(printable, more)]
    stderr().print("\n".join(lines), style="red")


def hint(text: str) -> None:
    """Print a remark that is no result, where it does not disturb a pipe."""
    stderr().print(text, style="dim")


def printable(text: str) -> str:
    """Escape what would steer the terminal: names may hold any character but NUL."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def show_json(value: Any) -> None:
    """Print a value as JSON on the standard output."""
    import msgspec
    import typer

    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def facts_of(struct: Any) -> dict[str, Any]:
    """Return a message's fields by name, as JSON shows them."""
    import msgspec

    return msgspec.structs.asdict(struct)


def table(*columns: str, numbers: Sequence[str] = ()) -> Table:
    """Return an empty table without lines; the columns in `numbers` are aligned to the right.

    The first column is folded rather than cut where the terminal is narrow: it is a name.
    """
    from rich.table import Table

    result = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        justify = "right" if column in numbers else "left"
        result.add_column(
            column,
            justify=justify,  # type: ignore[arg-type]  # a Literal
            no_wrap=number > 0,
            overflow="fold" if number == 0 else "ellipsis",
        )
    return result


def show_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()
) -> None:
    """Print a table on the standard output; where that is no terminal, as plain text."""
    console = stdout()
    if not console.is_terminal:
        console.file.writelines(_plain_lines(columns, list(rows), numbers))
        return
    result = table(*columns, numbers=numbers)
    for row in rows:
        result.add_row(*row)
    console.print(result)


def _plain_lines(
    columns: Sequence[str], rows: list[Sequence[str]], numbers: Sequence[str]
) -> Iterator[str]:
    """Align columns, without rich, whose layout takes a millisecond a row."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    aligns = [">" if column in numbers else "<" for column in columns]
    for row in (columns, *rows):
        cells = (f"{c:{align}{width}}" for c, align, width in zip(row, aligns, widths, strict=True))
        yield "  ".join(cells).rstrip() + "\n"


def show_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one pair on each line."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    for name, value in facts:
        grid.add_row(name, value)
    stdout().print(grid)


def format_duration(seconds: float) -> str:
    """Write a duration in its largest unit: `"40 s"`, `"12 min"`, `"3 h"`, `"5 d"`."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def yes_or_no(value: bool) -> str:
    """Write a truth value."""
    return "yes" if value else "no"


def flags_of(entry: EntryStat) -> str:
    """Write what was asked for when an entry was saved."""
    return ", ".join(_flags(entry))


def _flags(entry: EntryStat) -> Iterator[str]:
    if entry.mutable:
        yield "mutable"
    if entry.pinned:
        yield "pinned"
    if entry.ttl is not None:
        yield f"ttl {format_duration(entry.ttl)}"
