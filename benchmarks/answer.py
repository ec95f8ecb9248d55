"""What a question gives back: tables of summaries, and the targets it speaks about."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.peers.registry import PEERS


@dataclass(frozen=True)
class Summary:
    """A number that was measured many times."""

    median: float
    least: float
    p90: float
    count: int

    @classmethod
    def of(cls, samples: Iterable[float], scale: float = 1.0) -> Summary:
        """Of at least one sample, each multiplied by ``scale``."""
        ordered = sorted(sample * scale for sample in samples)
        last = len(ordered) - 1
        ninety = ordered[round(0.9 * last)]
        return cls(statistics.median(ordered), ordered[0], ninety, len(ordered))


@dataclass
class Table:
    """Rows are peers, columns are kinds of work; every cell has the same unit."""

    title: str
    unit: str
    columns: list[str] = field(default_factory=list)
    rows: dict[str, dict[str, Summary]] = field(default_factory=dict)
    ours: str = "onecopy"
    """What the others are compared with: a peer, or the title of a row."""

    @property
    def our_title(self) -> str:
        """The title of the row that the others are compared with."""
        return PEERS[self.ours].title if self.ours in PEERS else self.ours

    def add(self, column: str, summaries: dict[str, Summary]) -> None:
        """One more column; a peer that has no number in it shows a dash."""
        for name, summary in summaries.items():
            self.put(name, column, summary)

    def put(self, name: str, column: str, summary: Summary) -> None:
        """One cell."""
        self.put_row(PEERS[name].title, column, summary)

    def put_row(self, title: str, column: str, summary: Summary) -> None:
        """One cell of a row that is no peer's."""
        if column not in self.columns:
            self.columns.append(column)
        self.rows.setdefault(title, {})[column] = summary

    def median(self, name: str, column: str) -> float | None:
        """The median of a peer, if it was there."""
        summary = self.rows.get(PEERS[name].title, {}).get(column)
        return summary.median if summary else None

    def ratio(self, title: str, column: str) -> float | None:
        """Our median over that of the row ``title``."""
        mine = self.rows.get(self.our_title, {}).get(column)
        other = self.rows.get(title, {}).get(column)
        return mine.median / other.median if mine and other and other.median else None


@dataclass(frozen=True)
class Target:
    """A number to reach. ``value`` is missing when it could not be measured here."""

    work: str
    limit: float
    value: float | None
    unit: str = ""
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether it was reached."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass
class Answer:
    """Everything that one question found out."""

    question: str
    tables: list[Table]
    targets: list[Target] = field(default_factory=list)


def over(mine: float | None, other: float | None) -> float | None:
    """The ratio of two numbers that may be missing."""
    return mine / other if mine is not None and other else None
