"""Answers as tables for people and as JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from benchmarks.answer import Answer, Summary, Table, Target

LEGEND = "cells: median (least - p90); us/peer: our median over theirs"
VERDICTS = {True: "[green]met[/]", False: "[red]missed[/]", None: "[dim]not measured[/]"}


def show(console: Console, answer: Answer) -> None:
    """All tables of one answer."""
    for table in answer.tables:
        if table.rows:
            console.print(_grid(table))


def show_targets(console: Console, answers: Sequence[Answer], scale: str) -> None:
    """The verdicts; they mean something only at full size."""
    title = "How fast: targets" + ("" if scale == "full" else f" (size {scale}: for orientation)")
    grid = Grid(title=title, title_justify="left")
    for heading in ("work", "reach", "measured", ""):
        grid.add_column(heading, justify="left" if heading == "work" else "right")
    for target in (target for answer in answers for target in answer.targets):
        grid.add_row(target.work, _reach(target), _measured(target), VERDICTS[target.met])
    console.print(grid)


def as_json(answers: Sequence[Answer], scale: str, notes: Sequence[str]) -> str:
    """Everything that was measured, with the ratios and verdicts spelled out."""
    document = {
        "scale": scale,
        "machine": machine(),
        "answers": [_plain(answer) for answer in answers],
        "notes": list(notes),
    }
    return json.dumps(document, indent=1, ensure_ascii=False)


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "processor": platform.machine(),
    }


def number(value: float) -> str:
    """Three digits that matter."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _grid(table: Table) -> Grid:
    title = f"{table.title} [{table.unit}]".replace("[", r"\[")
    grid = Grid(title=title, title_justify="left")
    grid.add_column("")
    for column in table.columns:
        grid.add_column(column, justify="right")
        grid.add_column("us/peer", justify="right")
    for peer in table.rows:
        grid.add_row(peer, *_row(table, peer))
    return grid


def _row(table: Table, peer: str) -> list[str]:
    texts = []
    for column in table.columns:
        texts += [_cell(table.rows[peer].get(column)), _ratio(table, peer, column)]
    return texts


def _ratio(table: Table, peer: str, column: str) -> str:
    ratio = table.ratio(peer, column)
    return "" if ratio is None or peer == table.our_title else f"{ratio:.2g}"


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return "-"
    if summary.count == 1:
        return number(summary.median)
    return f"{number(summary.median)} ({number(summary.least)} - {number(summary.p90)})"


def _reach(target: Target) -> str:
    return f"{'≥' if target.at_least else '≤'} {number(target.limit)} {target.unit}".strip()


def _measured(target: Target) -> str:
    return "-" if target.value is None else f"{number(target.value)} {target.unit}".strip()


def _plain(answer: Answer) -> dict[str, Any]:
    plain = dataclasses.asdict(answer)
    for target, its in zip(answer.targets, plain["targets"], strict=True):
        its["met"] = target.met
    for table, its in zip(answer.tables, plain["tables"], strict=True):
        its["ratios"] = {
            title: {column: table.ratio(title, column) for column in table.columns}
            for title in table.rows
        }
    return plain
