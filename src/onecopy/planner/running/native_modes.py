"""What the C library has of recordings and plans, as Python sees it."""

from __future__ import annotations

import ctypes
import errno
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from onecopy import native
from onecopy.errors import AllocatorUnavailable
from onecopy.native import Unavailable, allocator, outputs, refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_u64 = ctypes.c_uint64

UNLIMITED: Final = 2**64 - 1
ALIVE: Final = 2**64 - 1
"""The end of an allocation that outlived its recording."""

_EVENT_WORDS: Final = 3

STRAYED: Final = 1 << 5
"""What leaving a run returns beside the bits of its misses: it had another number of allocations
than its order. `alike` is in the bits above."""

_ALIKE_SHIFT: Final = 8


class RecordFacts(NamedTuple):
    """What a recording came to; bytes as they were asked for."""

    allocations: int
    clock: int
    live: int
    peak: int
    refused: int
    refused_bytes: int
    refused_live: int
    broken: int


class ReplayFacts(NamedTuple):
    """What the runs of a plan came to."""

    hits: int
    hit_bytes: int
    displaced: int
    kept: int
    kept_bytes: int
    too_large: int
    blocked: int
    beyond: int
    unmapped: int
    unplaced: int
    miss_bytes: int
    runs: int
    region_nbytes: int
    regions: int
    held: int
    committed: int
    most: int
    open: int
    moved: int
    orders: int


class _RecordFacts(ctypes.Structure):
    _fields_ = [(name, _u64) for name in RecordFacts._fields]


class _ReplayFacts(ctypes.Structure):
    _fields_ = [(name, _u64) for name in ReplayFacts._fields]


def install() -> native.Library:
    """Make torch ask our allocator, and return the library.

    Raises:
        AllocatorUnavailable: it was not built, or does not fit this torch.
    """
    try:
        allocator.install()
        return native.library()
    except Unavailable as reason:
        raise AllocatorUnavailable(
            f"torch's allocations cannot be recorded or planned here: {reason}"
        ) from reason


def depth_in(library: native.Library) -> Callable[[], int]:
    """Return what says how many recordings and runs this thread has entered.

    Whoever enters one asks before, and leaves with that number: an exception that a signal raises
    may come after the first step of entering, before it is known.
    """
    function: Callable[[], int] = library.quick.onecopy_modes_depth
    return function


class Recorder:
    """Writes down what this thread allocates between `enter` and `leave`."""

    def __init__(self, limit: int) -> None:
        self._library = install()
        self._number = _u64()
        self._limit = limit
        self._depth = ctypes.c_size_t(depth_in(self._library)())

    def enter(self) -> None:
        """Begin; past `limit` live bytes allocations fail as torch's own do without memory."""
        code = self._library.quick.onecopy_record_enter(
            _u64(self._limit), ctypes.byref(self._number)
        )
        check(code)

    def leave(self) -> tuple[RecordFacts, array[int]]:
        """End; return facts, and size, start and end of each allocation, one after another."""
        facts = self._end()
        if facts is None:
            check(errno.EPERM)
            raise AssertionError  # mypy does not know.
        events = array("Q", bytes(8 * _EVENT_WORDS * facts.allocations))
        address = ctypes.c_void_p(events.buffer_info()[0])
        check(self._library.quick.onecopy_record_take(self._number, address))
        return facts, events

    def abandon(self) -> RecordFacts | None:
        """End, wherever an exception came from; None if it had not begun, or has ended."""
        facts = self._end()
        self._library.quick.onecopy_record_take(self._number, None)
        return facts

    def _end(self) -> RecordFacts | None:
        facts = _RecordFacts()
        if self._library.quick.onecopy_record_leave(self._depth, ctypes.byref(facts)):
            return None
        return RecordFacts(*(getattr(facts, name) for name in RecordFacts._fields))


def alike(outcome: int) -> int | None:
    """Return the number of an order with as many allocations as a run that strayed, if any."""
    above = outcome >> _ALIKE_SHIFT
    return above - 1 if above else None


class Replay:
    """A plan of the C library. What `enter` and `leave` need is looked up once: they are hot."""

    def __init__(
        self,
        slots: Sequence[tuple[int, int, int]],
        places: int,
        peak: int,
        *,
        shared: bool = False,
        pool: int = 0,
    ) -> None:
        """Make a plan of slots (offset, bytes, number of the output or 0): its first order.

        The first `places` outputs have addresses of their own; `shared`: in a memfd each; `pool`:
        the id of the native arena that they come from instead.
        """
        self._library = library = install()
        flat, how = _flat(slots), array("Q", [places, shared, pool])
        self.number = _u64()
        check(
            library.quick.onecopy_replay_new(
                *_sized(flat, slots), _u64(peak), _address(how), ctypes.byref(self.number)
            )
        )
        outputs.made |= shared
        self.depth = depth_in(library)
        self.enter: Callable[[ctypes.c_uint64, int], int] = library.quick.onecopy_replay_enter
        self.leave: Callable[[int, int], int] = library.quick.onecopy_replay_leave

    def add(self, slots: Sequence[tuple[int, int, int]]) -> int | None:
        """Add an order of allocations; return its number, or None if there is no room for it."""
        flat, order = _flat(slots), _u64()
        code = self._library.quick.onecopy_replay_add(
            self.number, *_sized(flat, slots), ctypes.byref(order)
        )
        return None if code else order.value

    def release(self) -> None:
        """Let it end with its last run, its memory with the last tensor there; twice is fine."""
        self._library.slow.onecopy_replay_release(self.number)

    def facts(self) -> ReplayFacts | None:
        """Return what its runs came to; None when it was released."""
        facts = _ReplayFacts()
        if self._library.quick.onecopy_replay_facts(self.number, ctypes.byref(facts)):
            return None
        return ReplayFacts(*(getattr(facts, name) for name in ReplayFacts._fields))


def _flat(slots: Sequence[tuple[int, int, int]]) -> array[int]:
    return array("Q", [word for slot in slots for word in slot])


def _address(words: array[int]) -> ctypes.c_void_p:
    return ctypes.c_void_p(words.buffer_info()[0])


def _sized(flat: array[int], slots: Sequence[object]) -> tuple[ctypes.c_void_p, ctypes.c_size_t]:
    return _address(flat), ctypes.c_size_t(len(slots))


def check(code: int) -> None:
    """Raise what an errno of the library stands for."""
    refusals.check(code, _MISUSES, "drop tensors that earlier runs have left, or lower the bounds")


_MISUSES = {
    errno.ENOENT: "this planned module was closed; bind its plan again",
    errno.EPERM: "a recording or a run ends in the thread that began it, the innermost first",
    errno.E2BIG: "too many recordings and planned runs are within one another",
}
