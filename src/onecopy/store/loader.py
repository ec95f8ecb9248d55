"""The load path: look up, open, map, make views (I6). It asks the daemon nothing.

This is the one place where microseconds count, so it is written for speed: what is known of an
entry's layout is kept by the bytes of its spec, and a `readonly` or `shared` result that still
lives is found again without a system call.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from onecopy.errors import AccessDenied, InvalidArgument, StoreUnavailable
from onecopy.segments.mapping import MODES, map_fd
from onecopy.store.names import check_name
from onecopy.tensors import spec as specs
from onecopy.tensors.values import repeater, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.segments.mapping import Mapping, Mode
    from onecopy.store.index import Found, Record
    from onecopy.store.session import Session
    from onecopy.tensors.spec import Spec

ABSENT: Final[Any] = object()
"""What is returned for a name that does not exist."""

# A slot that changes under the reader is read again. So many changes in a row are no accident.
_TRIES: Final = 1000
_CACHE_LIMIT: Final = 4096

# Stands for the layout of an entry that was found, but not yet mapped.
_UNREAD: Final = specs.Spec(specs.VERSION, [], None)


class _Known(NamedTuple):
    """What one load learned of an entry; it holds as long as the slot's generation does."""

    found: Found
    word: int
    """Where the index has the slot's generation."""
    mode: Mode
    layout: Spec


class _Live(NamedTuple):
    """A `readonly` or `shared` result that may still live."""

    known: _Known
    mapping: weakref.ref[Mapping]
    repeat: Callable[[], Any] | None
    """Makes another tensor like the result, if that is a single tensor and lives."""


class Loader:
    """Loads entries of one session; it is thrown away with it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._index = session.index
        self._words = session.index.words
        self._open = session.opener.open
        self._known: dict[tuple[str, Mode | None], _Known] = {}
        self._live: dict[tuple[str, Mode | None], _Live] = {}
        self._layouts: dict[tuple[bytes, int], Spec] = {}

    def load(self, name: str, mode: Mode | None) -> Any:
        """Return the value of an entry, or ABSENT."""
        for _ in range(_TRIES):
            known = self._known.get((name, mode))
            if known is None or self._words[known.word] != known.found.generation:
                known = self._find(name, mode)
                if known is None:
                    return ABSENT
            mapping = self._map(known)
            if mapping is not None:
                return self._finish(name, mode, known, mapping)
            if not self._session.usable:
                return ABSENT
        raise _cannot_open(name)

    def again(self, name: str, mode: Mode | None) -> Any:
        """Return an entry whose earlier result still lives, or ABSENT; makes no system call."""
        live = self._live.get((name, mode))
        if live is None:
            return ABSENT
        known, ref, repeat = live
        mapping = ref()
        if mapping is None or self._words[known.word] != known.found.generation:
            self._live.pop((name, mode), None)
            return ABSENT
        self._session.touch(known.found.slot)
        value = None if repeat is None else repeat()
        return self._build(name, mode, known, mapping) if value is None else value

    def open(self, name: str) -> tuple[int, int] | None:
        """Open an entry's segment to read; return its descriptor and size, or None."""
        for _ in range(_TRIES):
            known = self._find(name, "private")
            if known is None or not self._session.usable:
                return None
            fd = self._open(known.found, False)
            if fd is None:
                continue
            if self._shows(fd, known):
                self._session.touch(known.found.slot)
                return fd, known.found.record.size
            os.close(fd)
        raise _cannot_open(name)

    def _shows(self, fd: int, known: _Known) -> bool:
        """Say whether `fd` is the segment that was looked up; `_map` says why in this order."""
        unchanged = self._words[known.word] == known.found.generation
        same = os.fstat(fd).st_ino == known.found.record.ino
        return unchanged and same and self._index.current

    def _find(self, name: str, mode: Mode | None) -> _Known | None:
        found = self._index.find(check_name(name))
        if found is None:
            return None
        chosen = _choose_mode(mode, found.record, name, self._session.writable)
        return _Known(found, self._index.word_of(found.slot), chosen, _UNREAD)

    def _map(self, known: _Known) -> Mapping | None:
        """Open and map a segment, or return None if the slot has changed meanwhile."""
        found = known.found
        fd = self._open(found, known.mode == "shared")
        if fd is None:
            return None
        try:
            # The order matters. Unchanged now means that the daemon had not yet closed its
            # descriptor when we opened it by number, so it was this entry's.
            unchanged = self._words[known.word] == found.generation
            status = os.fstat(fd)
            record = found.record
            same = status.st_ino == record.ino and status.st_size == record.size
            if not (unchanged and same and self._index.current):
                return None
            return map_fd(fd, record.size, known.mode)
        finally:
            os.close(fd)

    def _finish(self, name: str, mode: Mode | None, known: _Known, mapping: Mapping) -> Any:
        self._session.touch(known.found.slot)
        if known.layout is _UNREAD:
            known = known._replace(layout=self._layout(known.found.record, mapping))
            _keep(self._known, (name, mode), known)
        return self._build(name, mode, known, mapping)

    def _build(self, name: str, mode: Mode | None, known: _Known, mapping: Mapping) -> Any:
        value = unpack(mapping, known.found.record.data_start, known.layout, known.mode)
        if known.mode != "private":
            live = _Live(known, weakref.ref(mapping), repeater(known.layout, value))
            _keep(self._live, (name, mode), live)
        return value

    def _layout(self, record: Record, mapping: Mapping) -> Spec:
        room = record.spec_offset - record.data_start
        if not record.spec:
            return specs.decode(mapping.view(record.spec_offset, record.spec_nbytes), room)
        known = self._layouts.get((record.spec, room))
        if known is None:
            known = specs.decode(record.spec, room)
            _keep(self._layouts, (record.spec, room), known)
        return known


def _keep(cache: dict[Any, Any], key: object, value: object) -> None:
    # Forgetting all at once is crude, and costs less than keeping order on every hit.
    if len(cache) >= _CACHE_LIMIT:
        cache.clear()
    cache[key] = value


def _choose_mode(mode: Mode | None, record: Record, name: str, writable: bool) -> Mode:
    if mode is None:
        if not record.mutable:
            return "private"
        return "shared" if writable else "readonly"
    if mode not in MODES:
        raise InvalidArgument(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if mode == "shared" and not record.mutable:
        raise InvalidArgument(
            f"{name!r} is immutable, so it cannot be loaded shared; save it with mutable=True, or "
            "load it private (writes stay your own) or readonly"
        )
    if mode == "shared" and not writable:
        raise AccessDenied(f"this client may only read {name!r}; load it readonly")
    return mode


def _cannot_open(name: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"the segment of {name!r} cannot be opened though its store lives; connect with "
        "direct=False, or restart the store"
    )
