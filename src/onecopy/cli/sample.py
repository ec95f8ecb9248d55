"""What `top` shows: a store at one moment, and how fast its entries are loaded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from onecopy.cli.output import facts_of

if TYPE_CHECKING:
    from onecopy.store.client import Store
    from onecopy.store.messages import EntryStat, StoreStats


class Row(NamedTuple):
    """An entry, and its loads per second since the sample before."""

    entry: EntryStat
    rate: float


class Sample(NamedTuple):
    """A store at one moment; the busiest entries come first, then the largest."""

    stats: StoreStats
    rows: list[Row]

    def to_facts(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        entries = [{**facts_of(row.entry), "hits_per_second": row.rate} for row in self.rows]
        return {"store": facts_of(self.stats), "entries": entries}


class Sampler:
    """Takes samples of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._hits: dict[tuple[str, float], int] = {}
        self._when: float | None = None

    def take(self) -> Sample:
        """Ask the store; all rates of the first sample are 0."""
        stats = self._store.stats()
        found = self._store.stat(self._store.names())
        entries = [each for each in found if each is not None]
        now = time.monotonic()
        rows = [Row(entry, self._rate(entry, now)) for entry in entries]
        self._hits = {(entry.name, entry.created): entry.hits for entry in entries}
        self._when = now
        return Sample(stats, sorted(rows, key=_rank))

    def _rate(self, entry: EntryStat, now: float) -> float:
        if self._when is None:
            return 0.0
        # Saved since then means that there were none. Clients write the counts, without locks.
        before = self._hits.get((entry.name, entry.created), 0)
        return max(entry.hits - before, 0) / max(now - self._when, 1e-6)


def _rank(row: Row) -> tuple[float, int, str]:
    return -row.rate, -row.entry.nbytes, row.entry.name
