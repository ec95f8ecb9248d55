"""Vectors of memory as tensors in a store: what is searched, made of what is on disk.

A collection is cut into segments of so many numbers; each is an entry with the vectors of the texts
that have these numbers. Entries may be lost, with their store's daemon or to make room: the data
base has every vector, and a version of each segment that tells whether an entry is of today.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.errors import EntryNotFound, OnecopyError

if TYPE_CHECKING:
    import numpy as np

    from onecopy.store.client import Store

_log = logging.getLogger(__name__)

ROWS: Final = 1024
"""How many numbers a segment has."""
PREFIX: Final = "agents/memory/"
MAPPED: Final = 1024
"""How many segments stay mapped."""

Rows = Sequence[tuple[int, bytes]]
"""Numbers of texts, and their vectors as the bytes of float32."""


class Segment(msgspec.Struct, frozen=True):
    """The vectors of some texts."""

    version: int
    numbers: Any
    """`[n]`, int64."""
    vectors: Any
    """`[n, width]`, float32: a view of the store's bytes."""

    @classmethod
    def of(cls, version: int, rows: Rows) -> Segment:
        """Make one of rows of the data base."""
        import numpy as np

        numbers = np.array([number for number, _ in rows], np.int64)
        joined = np.frombuffer(b"".join(vector for _, vector in rows), np.float32)
        return cls(version, numbers, joined.reshape(len(rows), -1))

    def nearest(self, query: np.ndarray[Any, Any], count: int) -> list[tuple[float, int]]:
        """Return scores and numbers of the texts that are nearest, the best first."""
        import numpy as np

        scores = self.vectors @ query
        best = np.arange(len(scores))
        if 0 < count < len(scores):
            best = np.argpartition(-scores, count - 1)[:count]
        best = best[np.argsort(-scores[best], kind="stable")][:count]
        return [(float(scores[each]), int(self.numbers[each])) for each in best]


class Segments:
    """The segments in a store.

    Args:
        store: where they are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._mapped: OrderedDict[str, Segment] = OrderedDict()
        """The last ones that were found: to map them again would cost more than a search."""

    def find(self, owner: bytes, index: int, version: int) -> Segment | None:
        """Return a segment without copying it, or None if the store has not that version of it."""
        entry = _entry(owner, index)
        segment = self._mapped.get(entry)
        if segment is None or segment.version != version:
            segment = self._load(entry, version)
        if segment is not None:
            self._mapped[entry] = segment
            self._mapped.move_to_end(entry)
            if len(self._mapped) > MAPPED:
                self._mapped.popitem(last=False)
        return segment

    def _load(self, entry: str, version: int) -> Segment | None:
        try:
            found = self._store.load(entry, mode="readonly")
            if found["version"] == version:
                return Segment(version, found["numbers"], found["vectors"])
        except EntryNotFound:
            pass
        except OnecopyError as error:
            _log.warning("the memory's vectors are read from disk: %s", error)
        return None

    def put(self, owner: bytes, index: int, segment: Segment) -> None:
        """Keep a segment in the store, if that has room for it."""
        value, entry = msgspec.structs.asdict(segment), _entry(owner, index)
        self._mapped.pop(entry, None)
        try:
            self._store.save(entry, value, overwrite=True)
        except OnecopyError as error:
            _log.warning("the memory's vectors stay on disk: %s", error)

    def drop(self, owner: bytes, index: int) -> None:
        """Remove a segment that has no texts any more."""
        entry = _entry(owner, index)
        self._mapped.pop(entry, None)
        try:
            self._store.remove(entry)
        except OnecopyError:
            pass  # What stays there is of no version that anybody asks for.


def _entry(owner: bytes, index: int) -> str:
    # Names of agents and collections may be too long for an entry's.
    return f"{PREFIX}{hashlib.sha256(owner).hexdigest()[:32]}/{index}"
