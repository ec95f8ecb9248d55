"""`plan fit`: the largest parameters under a budget of bytes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onecopy.cli import arguments
from onecopy.cli.output import hint, show_json, show_table, stderr, stdout
from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from onecopy.planner import Fit


def fit(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="What the budget is for: [bold]package.module:function[/] that returns a "
            "planner.Plan; a file that Plan.save wrote; or a folder with a config.json of "
            "transformers (a language model, whose dimensions are then b sequences, c new tokens "
            "of each, and s slots in the cache).",
            show_default=False,
        ),
    ],
    budget: Annotated[
        int,
        typer.Option(
            "--budget", "-b", parser=arguments.size, metavar="SIZE", show_default=False,
            help="Bytes for weights, inputs and all that a run allocates, such as 6GiB.",
        ),
    ],
    maximize: Annotated[
        list[str],
        typer.Option(
            "--maximize", "-m", metavar="NAME", show_default=False,
            help="A dimension to make as large as fits; a second one once the first is settled. "
            "NAME=WEIGHT for each: the largest weighted sum.",
        ),
    ],
    subject_to: Annotated[
        list[str] | None,
        typer.Option(
            "--subject-to", "-s", metavar="NAME=VALUE", show_default=False,
            help="A value (b=1) or bounds (c=512.., c=..4096, c=512..4096) of a dimension.",
        ),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            "--processes", "-p", min=1, metavar="N",
            help="The budget is for so many; weights, in a store, count once.",
        ),
    ] = 1,
    table: Annotated[
        str | None,
        typer.Option(
            "--table", "-t", metavar="NAME", show_default=False,
            help="One row for each of several values of this dimension.",
        ),
    ] = None,
    certify: Annotated[
        bool,
        typer.Option("--certify", help="Run it, and find the largest value that really fits."),
    ] = False,
    factory: Annotated[
        str | None,
        typer.Option(
            "--module", metavar="NAME", show_default=False,
            help="With --certify, for a saved plan: package.module:function that makes the module.",
        ),
    ] = None,
    step: Annotated[
        int, typer.Option("--step", min=1, metavar="N", help="With --certify: in steps of N.")
    ] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:  # fmt: skip
    """Find the largest dimensions of a model whose memory fits into a budget.

    Searched with the formula of its memory, which needs no weights: gigabytes are planned in
    seconds. Kernels may need more than any formula shows, so --certify measures on this machine.
    """
    _make_importable()
    from onecopy import planner
    from onecopy.planner.budget.subjects import planned

    with stderr().status(f"planning {model} …"):
        plan = planned(model)
    aim, wishes = _aim(maximize), dict(map(_wish, subject_to or []))
    if table is not None:
        rows = planner.table(plan, budget, aim, table, wishes, processes=processes)
        return _show_rows(rows, json)
    found = planner.fit(plan, budget, aim, wishes, processes=processes)
    if not certify:
        return show_json(found.as_dict()) if json else _show(found)
    with stderr().status("running it …"):
        certificate = found.certify(step=step, factory=factory or model)
    if json:
        return show_json({**found.as_dict(), "certificate": certificate.as_dict()})
    _show(found)
    stdout().print(str(certificate))
    return None


def _make_importable() -> None:
    """Functions are looked for where the command is called, as `python -m` does."""
    if os.getcwd() not in sys.path:  # noqa: PTH109  # sys.path has texts
        sys.path.insert(0, os.getcwd())  # noqa: PTH109


def _show(found: Fit) -> None:
    stdout().print(str(found))
    if not found.exhaustive:
        hint("the search was cut short: larger values may fit")


def _show_rows(rows: Any, json: bool) -> None:
    if json:
        show_json(rows.as_dict())
    else:
        columns = rows.columns()
        show_table(columns, rows.cells(), numbers=columns)


def _aim(texts: Sequence[str]) -> list[str] | dict[str, float]:
    pairs = [text.partition("=") for text in texts]
    weights = {name: weight for name, sign, weight in pairs if sign}
    if not weights:
        return [name for name, _, _ in pairs]
    if len(weights) < len(texts):
        raise typer.BadParameter("give a weight to each --maximize, or to none")
    try:
        return {name: float(weight) for name, weight in weights.items()}
    except ValueError:
        raise typer.BadParameter(f"{' '.join(texts)}: a weight is a number") from None


def _wish(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    lower, dots, upper = value.partition("..")
    try:
        if not sign:
            raise InvalidArgument(text)
        if not dots:
            return name, int(value)
        return name, (int(lower) if lower else None, int(upper) if upper else None)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no bound; write it like b=1, c=512.. or c=512..4096"
        ) from None
