"""A function's allocations written down: how large, from when to when."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any

from onecopy.errors import BudgetExceeded, InvalidArgument
from onecopy.planner.numbers import whole
from onecopy.planner.packing.buffer import Buffer
from onecopy.planner.packing.problem import Problem
from onecopy.planner.running import native_modes
from onecopy.units import parse_size

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterator

ALIGNMENT = 64
"""What torch aligns its own blocks to."""

_NUMBERS = 1 << 60
"""Sizes and times that can be packed are below it."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """One allocation of torch's CPU allocator. Time counts allocations and frees."""

    index: int
    nbytes: int
    start: int
    end: int
    freed: bool
    """Whether it was freed before the recording ended: otherwise it is an output, or state."""


@dataclass(frozen=True)
class Recording:
    """What one run of a function allocated on the CPU, in order."""

    allocations: tuple[Allocation, ...] = field(repr=False)
    peak: int
    """Bytes: the largest sum of what lived at one time."""
    refused: int = 0
    """How many allocations were refused because of the limit, and done without."""
    result: Any = field(default=None, repr=False, compare=False)
    """What the function returned."""

    def problem(self, alignment: int = ALIGNMENT) -> Problem:
        """Return the packing problem of these allocations, named by their index.

        Sizes are rounded up to the alignment, as offsets are.
        """
        return Problem(
            Buffer(str(each.index), _round(each.nbytes, alignment), each.start, each.end, alignment)
            for each in self.allocations
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it, without the result, as what JSON can carry."""
        return {"peak": self.peak, "allocations": [astuple(each) for each in self.allocations]}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Recording:
        """Return what `as_dict` was called on.

        Raises:
            InvalidArgument: it is not of that form.
        """
        try:
            allocations = tuple(Allocation(*each) for each in saved["allocations"])
            peak = saved["peak"]
            _check(allocations, peak)
            return cls(allocations, peak)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidArgument(f"this is no recording ({error!r}); record it anew") from error


def record(
    function: Callable[..., Any], *args: Any, limit: int | str | None = None, **kwargs: Any
) -> Recording:
    """Call a function, and return what it allocated in torch's CPU allocator on the way.

        recording = record(model, torch.ones(8, 16))
        recording.peak, recording.problem().lower_bound

    What other threads allocate meanwhile (those of an operator, for instance) is no part of it.
    What they free is: a block's life ends with it. The function's result lives until the end.

    Args:
        function: what to call, with `args` and `kwargs`.
        limit: the bytes that may live at one time, or a text such as "1GiB". An allocation past it
            fails, as it does in torch when there is no memory left.

    Raises:
        BudgetExceeded: the function failed because of the limit.
        AllocatorUnavailable: torch's allocator cannot be replaced here.
    """
    most = _limit(limit)
    recorder = native_modes.Recorder(most)
    try:
        recorder.enter()
        result = function(*args, **kwargs)
        facts, events = recorder.leave()
    except BaseException as error:
        failed = recorder.abandon()
        if failed and failed.refused and isinstance(error, Exception):
            raise _exceeded(failed, most) from error
        raise
    if facts.broken:
        raise MemoryError("there was no memory left to write an allocation down")
    allocations = tuple(_allocations(events, facts.clock))
    return Recording(allocations, facts.peak, facts.refused, result)


def _limit(limit: int | str | None) -> int:
    if limit is None:
        return native_modes.UNLIMITED
    nbytes = parse_size(limit) if isinstance(limit, str) else whole(limit, "a limit")
    if nbytes < 0:
        raise InvalidArgument(f"a limit is a number of bytes from 0 on, not {limit}")
    return nbytes


def _check(allocations: tuple[Allocation, ...], peak: object) -> None:
    if not _is_number(peak):
        raise ValueError("its peak is no number of bytes")
    for index, each in enumerate(allocations):
        numbers = all(map(_is_number, (each.nbytes, each.start, each.end)))
        if each.index != index or not numbers or not isinstance(each.freed, bool):
            raise ValueError(f"allocation {index} is not written as one")
        if each.start >= each.end:
            raise ValueError(f"allocation {index} ends before it starts")


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < _NUMBERS


def _exceeded(facts: native_modes.RecordFacts, limit: int | None) -> BudgetExceeded:
    needed = facts.refused_live + facts.refused_bytes
    return BudgetExceeded(
        f"{facts.refused_bytes} bytes were asked for beside {facts.refused_live} that lived, more "
        f"than the limit of {limit}; raise it by {needed - (limit or 0)} bytes at least, or run it "
        "with smaller inputs"
    )


def _allocations(events: array[int], clock: int) -> Iterator[Allocation]:
    words = iter(events)
    for index, (nbytes, start, end) in enumerate(zip(words, words, words, strict=True)):
        freed = end != native_modes.ALIVE
        yield Allocation(index, nbytes, start, end if freed else clock, freed)


def _round(nbytes: int, unit: int) -> int:
    return -(-nbytes // unit) * unit
