"""`plan fit`: the largest parameters under a budget of bytes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from onecopy.cli import plan_options as options
from onecopy.cli.output import hint, show_json, show_table, stderr, stdout

if TYPE_CHECKING:
    from onecopy.planner import Fit


def fit(
    model: options.Model,
    budget: options.Budget,
    maximize: options.Maximize,
    subject_to: options.SubjectTo = None,
    processes: options.Processes = 1,
    table: options.TableBy = None,
    certify: options.Certify = False,
    factory: options.Factory = None,
    step: options.Steps = None,
    json: options.Json = False,
) -> None:
    """Find the largest dimensions of a model whose memory fits into a budget.

    Searched with the formula of its memory, which needs no weights: gigabytes
    are planned in seconds. Kernels may need more than any formula shows, so
    --certify measures on this machine.
    """
    aim, wishes, steps = _aim(maximize), dict(map(_wish, subject_to or [])), _steps(step or [])
    if certify:
        _check_runnable(model, table, factory)
    from onecopy import planner

    plan = _planned(model)
    if table is not None:
        _show_rows(planner.table(plan, budget, aim, table, wishes, processes=processes), json)
        return
    found = planner.fit(plan, budget, aim, wishes, processes=processes)
    if certify:
        _certify(found, steps, factory or model, json)
    else:
        _show(found, json)


def _check_runnable(model: str, table: str | None, factory: str | None) -> None:
    if table is not None:
        raise typer.BadParameter(
            "--table is by the formula; certify one row of it, with --subject-to"
        )
    if factory is None and Path(model).is_file():
        raise typer.BadParameter(
            "a saved plan has no module to run: --certify needs --module package.module:function"
        )


def _make_importable() -> None:
    """Functions are looked for where the command is called, as `python -m` does."""
    if os.getcwd() not in sys.path:  # noqa: PTH109  # sys.path has texts
        sys.path.insert(0, os.getcwd())  # noqa: PTH109


def _planned(model: str) -> Any:
    _make_importable()
    from onecopy.planner.budget.subjects import planned

    with stderr().status(f"planning {model} …"):
        return planned(model)


def _certify(found: Fit, steps: Any, factory: str, json: bool) -> None:
    with stderr().status("running it …"):
        certificate = found.certify(step=steps, factory=factory)
    if json:
        show_json({**found.as_dict(), "certificate": certificate.as_dict()})
    else:
        _show(found, json)
        stdout().print(str(certificate))


def _show(found: Fit, json: bool) -> None:
    if json:
        show_json(found.as_dict())
        return
    stdout().print(str(found))
    if not found.exhaustive:
        hint("the search was cut short: larger values may fit")
    if found.at_bound:
        names = " and ".join(found.at_bound)
        hint(f"{names} cannot be larger in this plan, or by --subject-to, whatever the budget")


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
            raise ValueError
        if not dots:
            return name, int(value)
        return name, (int(lower) if lower else None, int(upper) if upper else None)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no bound; write it like b=1, c=512.. or c=512..4096"
        ) from None


def _steps(texts: Sequence[str]) -> int | dict[str, int]:
    """Return steps by name, or one for the last dimension."""
    try:
        if len(texts) == 1 and "=" not in texts[0]:
            return int(texts[0])
        pairs = [text.split("=") for text in texts]
        return {name: int(step) for name, step in pairs}
    except ValueError:
        raise typer.BadParameter(
            f"{' '.join(texts)}: write a step like 64, or s=64 for each of several"
        ) from None
