"""`doctor`: whether this machine has what the store needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from onecopy.cli.arguments import Json
from onecopy.cli.output import printable, show_json, stdout

if TYPE_CHECKING:
    from rich.console import Console

    from onecopy.cli.checks import Check

_INDENT = 24
_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(json: Json = False) -> None:
    """Check what the store needs of this machine, and say how to mend it.

    The exit code is 1 if something fails; warnings are no failure.
    """
    from onecopy.cli.checks import Status, examine

    checks = []
    console = stdout()
    for check in examine():
        checks.append(check)
        if not json:
            _show(console, check)
    if json:
        show_json(checks)
    if any(check.status is Status.FAIL for check in checks):
        raise typer.Exit(1)


def _show(console: Console, check: Check) -> None:
    from rich.padding import Padding
    from rich.text import Text

    status = check.status.value
    console.print(
        Text.assemble(
            (f"{status:5}", _STYLES[status]), f"{check.name:19}", printable(check.detail)
        ),
        soft_wrap=True,
    )
    if check.remedy:
        remedy = Text(f"→ {check.remedy}", style="dim")
        console.print(Padding(remedy, (0, 0, 0, _INDENT), expand=False))
