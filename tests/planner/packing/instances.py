"""MiniMalloc's instances, whose capacity is 1048576."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "data" / "minimalloc"
CAPACITY = 1048576


def path_of(letter: str) -> Path:
    return FOLDER / f"{letter}.{CAPACITY}.csv"
