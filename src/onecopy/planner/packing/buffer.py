"""A buffer: how many bytes, and when they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from onecopy.errors import InvalidArgument, InvalidProblem
from onecopy.planner.numbers import whole

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 2**60
"""No number may be larger, nor all sizes together: the search computes with 64 bits."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """`size` bytes that are needed from `start` until just before `end`.

    Times are whole numbers of any unit: steps, operators, allocations. A buffer of 0 bytes is
    allowed; it collides with nothing.

        Buffer("scores", 4096, start=3, end=5, alignment=64)

    Raises:
        InvalidProblem: a number is negative, too large or not whole, the buffer never lives, a gap
            lies outside of its lifetime or overlaps another, or `offset` is not aligned.
    """

    name: str
    size: int
    start: int
    end: int
    alignment: int = 1
    """What its offset must be a multiple of; any number, not only powers of two."""
    offset: int | None = None
    """Where it must be; None if it may be anywhere."""
    gaps: tuple[tuple[int, int], ...] = ()
    """Parts `[from, to)` of its lifetime in which its bytes may be used by others; in order."""

    def __post_init__(self) -> None:
        self._check_types()
        if self.size < 0 or self.start < 0:
            raise self._refusal(f"has size {self.size} and start {self.start}; none may be below 0")
        if self.end <= self.start:
            raise self._refusal(f"lives from {self.start} to {self.end}; it must end after that")
        if self.alignment < 1:
            raise self._refusal(f"has alignment {self.alignment}; it must be at least 1")
        if max(self.size, self.end, self.alignment) > LARGEST:
            raise self._refusal("has a number above 2**60; use a larger unit")
        if self.offset is not None:
            self._check_offset(self.offset)
        if self.gaps:
            self._check_gaps()

    @property
    def intervals(self) -> tuple[tuple[int, int], ...]:
        """When it lives: its lifetime without the gaps, as `(from, to)` in order."""
        return tuple(self._intervals()) if self.gaps else ((self.start, self.end),)

    @property
    def duration(self) -> int:
        """How long it lives, without the gaps."""
        return sum(end - start for start, end in self.intervals)

    def meets(self, other: Buffer) -> bool:
        """Say whether both live at some time."""
        if self.end <= other.start or other.end <= self.start:
            return False
        if not self.gaps and not other.gaps:
            return True
        return any(
            start < its_end and its_start < end
            for start, end in self.intervals
            for its_start, its_end in other.intervals
        )

    def _intervals(self) -> Iterator[tuple[int, int]]:
        start = self.start
        for begin, end in (*self.gaps, (self.end, self.end)):
            if begin > start:
                yield start, begin
            start = end

    def _check_types(self) -> None:
        if not isinstance(self.name, str):
            raise self._refusal("has a name that is no text")
        # Nearly always they are ints: a million buffers are checked in a second.
        if not type(self.size) is type(self.start) is type(self.end) is type(self.alignment) is int:
            self._make_whole("size", "start", "end", "alignment")
        if self.offset is not None:
            self._make_whole("offset")

    def _make_whole(self, *fields: str) -> None:
        """Make ints of other whole numbers, such as numpy's."""
        for field in fields:
            try:
                object.__setattr__(self, field, whole(getattr(self, field), f"its {field}"))
            except InvalidArgument as error:
                raise self._refusal(f"is no buffer: {error}") from None

    def _check_offset(self, offset: int) -> None:
        if not 0 <= offset <= LARGEST:
            raise self._refusal(f"is fixed at offset {offset}; it must be from 0 to 2**60")
        if offset % self.alignment:
            raise self._refusal(
                f"is fixed at offset {offset}, which is no multiple of its alignment "
                f"{self.alignment}"
            )

    def _check_gaps(self) -> None:
        try:
            gaps = tuple((whole(a, "a gap's end"), whole(b, "a gap's end")) for a, b in self.gaps)
        except (InvalidArgument, TypeError, ValueError):
            raise self._refusal(f"has gaps {self.gaps!r}; write ((from, to), …)") from None
        object.__setattr__(self, "gaps", gaps)
        last = self.start
        for begin, end in gaps:
            if not last <= begin < end <= self.end:
                raise self._refusal(
                    f"has a gap [{begin}, {end}); gaps must be in order, not overlap, and lie in "
                    f"its lifetime [{self.start}, {self.end})"
                )
            last = end
        if not self.intervals:
            raise self._refusal("has gaps that leave nothing of its lifetime")

    def _refusal(self, text: str) -> InvalidProblem:
        return InvalidProblem(f"buffer {self.name!r} {text}")
