"""The load path: look up, open, map, make views (I6). It asks the daemon nothing.

This is the one place where microseconds count, so it is written for speed: what is known of an
entry's layout is kept by the bytes of its spec, and a `readonly` or `shared` result that still
lives is found again without a system call.
"""

from __future__ import annotations

import weakref
from functools import partial
from os import close, fstat
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import (
    AccessDenied,
    CorruptEntry,
    EntryNotFound,
    InvalidArgument,
    StoreUnavailable,
)
from onecopy.segments.mapping import MODES, map_fd
from onecopy.store.messages import READ, SPEC, WRITE
from onecopy.store.names import check_name
from onecopy.store.parts import Parts, merge
from onecopy.tensors import spec as specs
from onecopy.tensors.tree import LIST
from onecopy.tensors.values import builder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import stat_result

    from onecopy.segments.mapping import Mapping, Mode
    from onecopy.store.index.slot import Found
    from onecopy.store.session import Session
    from onecopy.tensors.spec import Spec

ABSENT: Final[Any] = object()
"""What is returned for a name that does not exist."""

# A slot that changes under the reader is read again. So many changes in a row are no accident.
_TRIES: Final = 1000
_CACHE_LIMIT: Final = 4096


class _Plan:
    """How to load an entry again; it holds as long as the slot's generation does."""

    __slots__ = ("alive", "build", "found", "generation", "map", "mode", "word")

    def __init__(self, found: Found, mode: Mode) -> None:
        self.found = found
        self.word = found.word
        self.generation = found.generation
        self.mode = mode
        self.build: Callable[[Mapping], Any] = _unbuilt
        """The quickest way from a mapping to the value."""
        self.map: Callable[[], Mapping | None] = _unmapped
        """The quickest way to a mapping."""
        self.alive: weakref.ref[Mapping] | None = None
        """What a `readonly` or `shared` result maps, as long as one lives."""


def _unbuilt(mapping: Mapping) -> Any:
    raise AssertionError(f"{mapping} has no layout yet")


def _unmapped() -> Mapping | None:
    return None


class Loader:
    """Loads entries of one session; it is thrown away with it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._index = session.index
        self._words = session.index.words
        self._pulse, self._thread = session.index.pulse, session.index.thread
        self._open = session.opener.open
        self._plans: dict[tuple[str, Mode | None], _Plan] = {}
        self._layouts: dict[tuple[bytes, int], Spec] = {}

    def load(self, name: str, mode: Mode | None) -> Any:
        """Return the value of an entry, or ABSENT: also if the daemon has died meanwhile.

        Raises `Busy` if its slot stays half-written.
        """
        plan = self._plans.get((name, mode))
        if plan is None:
            return self._load_anew(name, mode)
        if plan.alive is not None:
            mapping = self._alive(plan)
            if mapping is not None:
                return plan.build(mapping)
        mapping = plan.map()
        if mapping is None:
            return self._load_anew(name, mode)
        if plan.mode != "private":
            plan.alive = weakref.ref(mapping)
        return plan.build(mapping)

    def _alive(self, plan: _Plan) -> Mapping | None:
        """Return what an earlier result maps, if it lives and the entry is still the same."""
        if self._words[plan.word] != plan.generation or self._pulse[0] != self._thread:
            return None
        mapping = plan.alive() if plan.alive is not None else None
        if mapping is not None:
            self._session.count(plan.found.slot)
        return mapping

    def _load_anew(self, name: str, mode: Mode | None) -> Any:
        """Look an entry up and load it."""
        for found in self._look_up(name):
            chosen = _choose_mode(mode, found, name, self._session.writable)
            mapping = self._map(found, chosen)
            layout = None if mapping is None else self._layout(found, mapping)
            if mapping is not None and layout is not None:
                plan = _Plan(found, chosen)
                plan.build = self._builder(found, layout, chosen)
                plan.map = partial(self._map_again, plan)
                plan.alive = None if chosen == "private" else weakref.ref(mapping)
                _keep(self._plans, (name, mode), plan)
                return plan.build(mapping)
        return ABSENT

    def _map_again(self, plan: _Plan) -> Mapping | None:
        """Map an entry that is met again; from now on in the quickest way."""
        long = partial(self._map, plan.found, plan.mode)
        plan.map = self._session.mapper(plan.found, plan.mode) or long
        return plan.map()

    def _builder(self, found: Found, layout: Spec, mode: Mode) -> Callable[[Mapping], Any]:
        if not found.parts:
            return builder(found.data_start, layout, mode)
        names = _parts(layout)
        return lambda _: merge(names, lambda name: self._load_part(name, mode))

    def _load_part(self, name: str, mode: Mode) -> Any:
        value = self.load(name, mode)
        if value is ABSENT:
            raise EntryNotFound(
                f"the part {name!r} of this entry was removed; import the checkpoint again"
            )
        return value

    def parts(self, name: str) -> Parts:
        """Return the names of an entry's parts: none, if it has gone meanwhile."""
        for found in self._look_up(name):
            mapping = self._map(found, "readonly")
            layout = None if mapping is None else self._layout(found, mapping)
            if layout is not None:
                return _parts(layout) if found.parts else Parts()
        return Parts()

    def _look_up(self, name: str) -> Iterator[Found]:
        """Yield what the slot of a name says, again and again while it changes under us."""
        key = check_name(name)
        for _ in range(_TRIES):
            found = self._index.find(key)
            if found is None or not self._session.usable:
                return
            yield found
        raise StoreUnavailable(
            f"the segment of {name!r} cannot be opened though its store lives; connect with "
            "direct=False, or restart the store"
        )

    def _map(self, found: Found, mode: Mode) -> Mapping | None:
        """Open and map a segment, or return None if the slot has changed meanwhile.

        native/segment.c has the same in one step, for entries that are met again.
        """
        fd = self._open(found, WRITE if mode == "shared" else READ)
        if fd is None:
            return None
        try:
            # The order matters. Unchanged now means that the daemon had not yet closed its
            # descriptor when we opened it by number, so it was this entry's.
            if not self._unchanged(found):
                return None
            status = fstat(fd)
            if found.modified:
                _check_unmodified(found, status)
            elif status.st_ino != found.ino or status.st_size != found.size:
                return None
            mapping = map_fd(fd, found.extent, mode)
            self._session.touch(found.slot)
            return mapping
        finally:
            close(fd)

    def _unchanged(self, found: Found) -> bool:
        return self._words[found.word] == found.generation and self._pulse[0] == self._thread

    def open(self, name: str) -> tuple[int, Found] | None:
        """Open an entry's segment to read; return its descriptor and what is known, or None."""
        for found in self._look_up(name):
            fd = self._open(found, READ)
            if fd is not None:
                if self._unchanged(found):
                    self._session.touch(found.slot)
                    return fd, found
                close(fd)
        return None

    def _layout(self, found: Found, mapping: Mapping) -> Spec | None:
        """Return what the entry's spec says, or None if the slot has changed meanwhile."""
        room = found.spec_offset - found.data_start
        if found.spec_fd:
            return self._layout_apart(found, room)
        if not found.spec:
            return specs.decode(mapping.view(found.spec_offset, found.spec_nbytes), room)
        known = self._layouts.get((found.spec, room))
        if known is None:
            known = specs.decode(found.spec, room)
            _keep(self._layouts, (found.spec, room), known)
        return known

    def _layout_apart(self, found: Found, room: int) -> Spec | None:
        fd = self._open(found, SPEC)
        if fd is None:
            return None
        try:
            if not self._unchanged(found):
                return None
            return specs.decode(map_fd(fd, found.spec_nbytes, "readonly").view(), room)
        finally:
            close(fd)


def _parts(layout: Spec) -> Parts:
    kind, *names = layout.tree if type(layout.tree) is list and layout.tree else [None]
    return Parts.of(names if kind == LIST else None)


def _check_unmodified(found: Found, status: stat_result) -> None:
    """Raise `CorruptEntry` unless a file is as it was when it became an entry."""
    if status.st_mtime_ns != found.modified or status.st_size != found.size:
        raise CorruptEntry(
            "the file of this entry was changed after it became one; import it again "
            "(with overwrite=True), and replace such files by renaming, not by writing into them"
        )


def _keep(cache: dict[Any, Any], key: object, value: object) -> None:
    # Forgetting all at once is crude, and costs less than keeping order on every hit.
    if len(cache) >= _CACHE_LIMIT:
        cache.clear()
    cache[key] = value


def _choose_mode(mode: Mode | None, found: Found, name: str, writable: bool) -> Mode:
    if mode is None:
        if not found.mutable:
            return "private"
        return "shared" if writable else "readonly"
    if mode not in MODES:
        raise InvalidArgument(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if mode == "shared" and not found.mutable:
        raise InvalidArgument(
            f"{name!r} is immutable, so it cannot be loaded shared; save it with mutable=True, or "
            "load it private (writes stay your own) or readonly"
        )
    if mode == "shared" and not writable:
        raise AccessDenied(f"this client may only read {name!r}; load it readonly")
    return mode
