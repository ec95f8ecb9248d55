"""Problems and plans as files, in the CSV of MiniMalloc (github.com/google/minimalloc).

A header names the columns, in any order:

    id, or buffer, buffer_id       the name
    lower, or start, begin         when it begins to live
    upper                          when it no longer lives
    end, instead of upper          the last time at which it lives; gaps then say likewise
    size
    alignment                      may be left out, or empty: 1
    gaps                           "3-5 8-9", may be empty
    offset                         where it is fixed; may be empty
    hint                           ignored

A plan is the same with all offsets: whoever reads it gets a problem whose buffers are fixed there.
"""

from __future__ import annotations

import csv
import re
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onecopy.errors import InvalidProblem
from onecopy.planner.packing.buffer import Buffer
from onecopy.planner.packing.problem import Problem, find_overlap, find_same_names

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from onecopy.planner.packing.solution import Solution

_COLUMNS = {
    "id": "id",
    "buffer": "id",
    "buffer_id": "id",
    "lower": "lower",
    "start": "lower",
    "begin": "lower",
    "upper": "upper",
    "end": "upper",
    "size": "size",
    "alignment": "alignment",
    "gaps": "gaps",
    "offset": "offset",
    "hint": "hint",
}
_NUMBER = re.compile(r"\d+")
_LONGEST = 19
"""Digits of a number; more are above 2**60, and int() refuses some thousands."""
_GAP = re.compile(r"(\d{1,19})-(\d{1,19})")


def read_csv(path: str | os.PathLike[str]) -> Problem:
    """Read a problem.

        solve(read_csv("A.1048576.csv"), capacity=1048576)

    Raises:
        InvalidProblem: the text has the number of the line that is wrong.
        OSError: the file cannot be read.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:  # noqa: PTH123  # any path
            reader = _Reader(file, str(path))
            buffers = list(reader.buffers())
    except UnicodeDecodeError as error:
        raise InvalidProblem(f"{path}: not a text in UTF-8: {error}") from None
    try:
        return Problem(buffers)
    except InvalidProblem as error:
        raise InvalidProblem(f"{reader.place_of(buffers)}: {error}") from None


def write_csv(
    path: str | os.PathLike[str], problem: Problem, solution: Solution | None = None
) -> None:
    """Write a problem; with a solution, its offsets too.

    Columns that say nothing are left out. Names with a comma or a quote are quoted, as `read_csv`
    reads them; MiniMalloc knows no quotes.

    Raises:
        InvalidProblem: a name has a line break.
        OSError: the file cannot be written.
    """
    columns: dict[str, Callable[[Buffer], object]] = {
        "id": lambda each: _field(each.name),
        "lower": lambda each: each.start,
        "upper": lambda each: each.end,
        "size": lambda each: each.size,
    }
    buffers = problem.buffers
    if any(each.alignment != 1 for each in buffers):
        columns["alignment"] = lambda each: each.alignment
    if any(each.gaps for each in buffers):
        columns["gaps"] = lambda each: " ".join(f"{start}-{end}" for start, end in each.gaps)
    if solution is not None:
        columns["offset"] = lambda each: solution.offset_of(each.name)
    elif any(each.offset is not None for each in buffers):
        columns["offset"] = lambda each: "" if each.offset is None else each.offset
    rows = [",".join(str(cell(each)) for cell in columns.values()) for each in buffers]
    with open(path, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123  # any path
        file.writelines(f"{row}\n" for row in (",".join(columns), *rows))


def _field(name: str) -> str:
    if name and name.splitlines() != [name]:
        raise InvalidProblem(f"buffer {name!r} cannot be written: rename it without line breaks")
    if name and not set(name) & set(',"'):
        return name
    return '"' + name.replace('"', '""') + '"'


@dataclass
class _Layout:
    """Where the columns are."""

    indices: dict[str, int]
    inclusive: int
    """1 if ends are the last times that count, 0 if they are the first that do not."""


class _Reader:
    def __init__(self, lines: Iterable[str], path: str) -> None:
        self._rows = csv.reader(lines, strict=True)
        self._path = path
        self._lines = array("q")

    def buffers(self) -> Iterator[Buffer]:
        layout, width = None, 0
        try:
            for row in self._rows:
                if not row:
                    continue
                if layout is None:
                    layout, width = self._layout(row), len(row)
                elif len(row) != width:
                    raise self._refusal(f"{len(row)} fields, but the header has {width}")
                else:
                    self._lines.append(self._rows.line_num)
                    yield self._buffer(row, layout)
        except csv.Error as error:
            raise self._refusal(str(error)) from None
        if layout is None:
            raise InvalidProblem(f"{self._path}: empty; its first line must name the columns")

    def place_of(self, buffers: Sequence[Buffer]) -> str:
        """Say in which lines the two buffers are that are no problem together."""
        pair = find_same_names(buffers) or find_overlap(buffers)
        lines = sorted(self._lines[index] for index in pair or ())
        return ", ".join((self._path, *(f"line {line}" for line in lines)))

    def _layout(self, header: list[str]) -> _Layout:
        names = [name.strip().removeprefix("\ufeff") for name in header]
        indices: dict[str, int] = {}
        for index, name in enumerate(names):
            column = _COLUMNS.get(name)
            if column is None:
                raise self._refusal(
                    f"no column is called {_short(name)}; known: {', '.join(_COLUMNS)}"
                )
            if column in indices:
                raise self._refusal(f"two columns mean {column!r}")
            indices[column] = index
        for needed in ("id", "lower", "upper", "size"):
            if needed not in indices:
                raise self._refusal(f"there is no column {needed!r}")
        return _Layout(indices, int("end" in names))

    def _buffer(self, row: list[str], layout: _Layout) -> Buffer:
        at, inclusive = layout.indices, layout.inclusive
        offset = self._cell(row, at, "offset")
        try:
            return Buffer(
                row[at["id"]],
                self._number(row[at["size"]], "size"),
                self._number(row[at["lower"]], "lower"),
                self._number(row[at["upper"]], "upper") + inclusive,
                self._number(self._cell(row, at, "alignment") or "1", "alignment"),
                self._number(offset, "offset") if offset else None,
                self._gaps(self._cell(row, at, "gaps"), inclusive),
            )
        except InvalidProblem as error:
            raise self._refusal(str(error)) from None

    @staticmethod
    def _cell(row: list[str], at: dict[str, int], column: str) -> str:
        index = at.get(column)
        return "" if index is None else row[index].strip()

    @staticmethod
    def _number(text: str, column: str) -> int:
        if not text.isascii() or not _NUMBER.fullmatch(text.strip()):
            raise InvalidProblem(f"{column} is {_short(text)}, not a whole number from 0 on")
        if len(digits := text.strip().lstrip("0")) > _LONGEST:
            raise InvalidProblem(f"{column} is {_short(text)}, above 2**60; use a larger unit")
        return int(digits or "0")

    @staticmethod
    def _gaps(text: str, inclusive: int) -> tuple[tuple[int, int], ...]:
        gaps = []
        for each in text.split():
            match = _GAP.fullmatch(each)
            if match is None or not each.isascii():
                raise InvalidProblem(
                    f"{_short(each)} is not a gap, such as 3-5 (gaps with windows are not known)"
                )
            gaps.append((int(match[1]), int(match[2]) + inclusive))
        return tuple(gaps)

    def _refusal(self, text: str) -> InvalidProblem:
        return InvalidProblem(f"{self._path}, line {self._rows.line_num}: {text}")


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
