"""The load path: look up, open, map, make views (I6). It asks the daemon nothing.

This is the one place where microseconds count, so it is written for speed: what is known of an
entry's layout is kept by the bytes of its spec, and a `readonly` or `shared` result that still
lives is found again without a system call.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import InvalidArgument, StoreUnavailable
from onecopy.segments.mapping import MODES, map_fd
from onecopy.store.index import Busy
from onecopy.tensors import spec as specs
from onecopy.tensors.values import unpack

if TYPE_CHECKING:
    from onecopy.segments.mapping import Mapping, Mode
    from onecopy.store.index import Record
    from onecopy.store.session import Session
    from onecopy.tensors.spec import Spec

ABSENT: Final[Any] = object()
"""What `load` returns for a name that does not exist."""

# A slot that changes under the reader is read again. So many changes in a row are no accident.
_TRIES: Final = 1000
_CACHE_LIMIT: Final = 4096


class Loader:
    """Loads entries of one session; it is thrown away with it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._index = session.index
        self._words = session.index.words
        self._layouts: dict[tuple[bytes, int], Spec] = {}
        self._live: dict[tuple[str, str], _Live] = {}

    def load(self, name: str, key: bytes, mode: Mode | None) -> Any:
        """Return the value of an entry, or ABSENT."""
        for _ in range(_TRIES):
            found = self._index.find(key)
            if found is None:
                return ABSENT
            slot, generation, record = found
            chosen = _check_mode(mode, record, name)
            mapping = self._map(slot, generation, record, chosen)
            if mapping is not None:
                self._session.touch(slot)
                return self._finish(name, slot, generation, record, mapping, chosen)
            if not self._session.usable:
                return ABSENT
        raise StoreUnavailable(
            f"the segment of {name!r} cannot be opened though its store lives; connect with "
            "direct=False, or restart the store"
        )

    def again(self, name: str, mode: Mode | None) -> Any:
        """Return an entry whose earlier result still lives, or ABSENT; no system call."""
        live = self._live.get((name, mode or "shared"))
        if live is None:
            return ABSENT
        mapping = live.mapping()
        if mapping is None or self._words[live.word] != live.generation:
            del self._live[(name, mode or "shared")]
            return ABSENT
        self._session.touch(live.slot)
        return unpack(mapping, live.data_start, live.layout, live.mode)

    def _map(self, slot: int, generation: int, record: Record, mode: Mode) -> Mapping | None:
        """Open and map a segment, or return None if the slot has changed meanwhile."""
        fd = self._session.open(slot, generation, record, mode == "shared")
        if fd is None:
            return None
        try:
            # The order matters. Unchanged now means that the daemon had not yet closed its
            # descriptor when we opened it by number, so it was this entry's.
            unchanged = self._words[self._index.word_of(slot)] == generation
            status = os.fstat(fd)
            same = status.st_ino == record.ino and status.st_size == record.size
            if not (unchanged and same and self._index.current):
                return None
            return map_fd(fd, record.size, mode)
        finally:
            os.close(fd)

    def _finish(
        self, name: str, slot: int, generation: int, record: Record, mapping: Mapping, mode: Mode
    ) -> Any:
        layout = self._layout(record, mapping)
        if mode != "private":
            word = self._index.word_of(slot)
            live = _Live(slot, word, generation, weakref.ref(mapping), record, layout, mode)
            _keep(self._live, (name, mode), live)
        return unpack(mapping, record.data_start, layout, mode)

    def _layout(self, record: Record, mapping: Mapping) -> Spec:
        room = record.spec_offset - record.data_start
        if not record.spec:
            return specs.decode(mapping.view(record.spec_offset, record.spec_nbytes), room)
        known = self._layouts.get((record.spec, room))
        if known is None:
            known = specs.decode(record.spec, room)
            _keep(self._layouts, (record.spec, room), known)
        return known


class _Live:
    """A result that may still live, and what is needed to make another view of it."""

    __slots__ = ("data_start", "generation", "layout", "mapping", "mode", "slot", "word")

    def __init__(
        self,
        slot: int,
        word: int,
        generation: int,
        mapping: weakref.ref[Mapping],
        record: Record,
        layout: Spec,
        mode: Mode,
    ) -> None:
        self.slot = slot
        self.word = word
        self.generation = generation
        self.mapping = mapping
        self.data_start = record.data_start
        self.layout = layout
        self.mode = mode


def _keep(cache: dict[Any, Any], key: object, value: object) -> None:
    # Forgetting all at once is crude, and costs less than keeping order on every hit.
    if len(cache) >= _CACHE_LIMIT:
        cache.clear()
    cache[key] = value


def _check_mode(mode: Mode | None, record: Record, name: str) -> Mode:
    if mode is None:
        return "shared" if record.mutable else "private"
    if mode not in MODES:
        raise InvalidArgument(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if mode == "shared" and not record.mutable:
        raise InvalidArgument(
            f"{name!r} is immutable, so it cannot be loaded shared; save it with mutable=True, or "
            "load it private (writes stay your own) or readonly"
        )
    return mode


__all__ = ["ABSENT", "Busy", "Loader"]
