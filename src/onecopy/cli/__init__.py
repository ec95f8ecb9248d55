"""The command line: `onecopy serve`, `ls`, `put`, `get`, `top`, `doctor` and their kin.

    app          all commands, and how errors are shown
    arguments    what commands take: names, sizes, durations; completion
    stores       finding and opening stores
    output       tables and JSON
    serve        serve, stop
    entries      ls, stat, rm
    put, get     files into a store and out of it; `source` is what a file holds, `progress` a bar
    disk         snapshot, verify
    top          the live view; `sample` is what it shows
    guests       guest: new, build, include, run, test (guests_*.py)
    doctor       runs `checks`
    plan         plan: solve, fit (plan_fit.py)
    bench        a quick measurement of this machine
    demo         the demo

The library never prints; only this package does. It is imported only by the command.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command `onecopy`."""
    from onecopy.cli.app import app

    app(prog_name="onecopy")
