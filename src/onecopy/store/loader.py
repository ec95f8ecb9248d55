"""The load path: look up, open, map, make views (I6). It asks the daemon nothing.

This is the one place where microseconds count, so it is written for speed: what is known of an
entry's layout is kept by the bytes of its spec, and a `readonly` or `shared` result that still
lives is found again without a system call.
"""

from __future__ import annotations

import weakref
from os import close, fstat
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import AccessDenied, InvalidArgument, StoreUnavailable
from onecopy.segments.mapping import MODES, map_fd
from onecopy.store.names import check_name
from onecopy.tensors import spec as specs
from onecopy.tensors.values import builder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from onecopy.segments.mapping import Mapping, Mode
    from onecopy.store.index import Found
    from onecopy.store.session import Session
    from onecopy.tensors.spec import Spec

ABSENT: Final[Any] = object()
"""What is returned for a name that does not exist."""

# A slot that changes under the reader is read again. So many changes in a row are no accident.
_TRIES: Final = 1000
_CACHE_LIMIT: Final = 4096


class _Plan:
    """How to load an entry again; it holds as long as the slot's generation does."""

    __slots__ = ("alive", "build", "found", "generation", "mode", "word")

    def __init__(self, found: Found, mode: Mode) -> None:
        self.found = found
        self.word = found.word
        self.generation = found.generation
        self.mode = mode
        self.build: Callable[[Mapping], Any] = _unbuilt
        """The quickest way from a mapping to the value."""
        self.alive: weakref.ref[Mapping] | None = None
        """What a `readonly` or `shared` result maps, as long as one lives."""


def _unbuilt(mapping: Mapping) -> Any:
    raise AssertionError(f"{mapping} has no layout yet")


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
        if plan is None or self._words[plan.word] != plan.generation:
            return self._load_anew(name, mode)
        if plan.alive is not None and self._pulse[0] == self._thread:
            mapping = plan.alive()
            if mapping is not None:
                self._session.count(plan.found.slot)
                return plan.build(mapping)
        mapping = self._map(plan.found, plan.mode)
        if mapping is None:
            return self._load_anew(name, mode)
        return self._finish(plan, mapping)

    def _load_anew(self, name: str, mode: Mode | None) -> Any:
        """Look an entry up and load it."""
        for found in self._look_up(name):
            chosen = _choose_mode(mode, found, name, self._session.writable)
            mapping = self._map(found, chosen)
            if mapping is not None:
                plan = _Plan(found, chosen)
                plan.build = builder(found.data_start, self._layout(found, mapping), chosen)
                value = self._finish(plan, mapping)
                _keep(self._plans, (name, mode), plan)
                return value
        return ABSENT

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

    def _finish(self, plan: _Plan, mapping: Mapping) -> Any:
        self._session.touch(plan.found.slot)
        if plan.mode != "private":
            plan.alive = weakref.ref(mapping)
        return plan.build(mapping)

    def _map(self, found: Found, mode: Mode) -> Mapping | None:
        """Open and map a segment, or return None if the slot has changed meanwhile."""
        fd = self._open(found, mode == "shared")
        if fd is None:
            return None
        try:
            # The order matters. Unchanged now means that the daemon had not yet closed its
            # descriptor when we opened it by number, so it was this entry's.
            if self._words[found.word] == found.generation and self._pulse[0] == self._thread:
                status = fstat(fd)
                if status.st_ino == found.ino and status.st_size == found.size:
                    return map_fd(fd, found.size, mode)
            return None
        finally:
            close(fd)

    def open(self, name: str) -> tuple[int, int] | None:
        """Open an entry's segment to read; return its descriptor and size, or None."""
        for found in self._look_up(name):
            fd = self._open(found, False)
            if fd is not None:
                if self._words[found.word] == found.generation and self._index.current:
                    self._session.touch(found.slot)
                    return fd, found.size
                close(fd)
        return None

    def _layout(self, found: Found, mapping: Mapping) -> Spec:
        room = found.spec_offset - found.data_start
        if not found.spec:
            return specs.decode(mapping.view(found.spec_offset, found.spec_nbytes), room)
        known = self._layouts.get((found.spec, room))
        if known is None:
            known = specs.decode(found.spec, room)
            _keep(self._layouts, (found.spec, room), known)
        return known


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
