"""What all pools have in common: blocks, books, capacity, threads."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from onecopy.errors import BudgetExceeded, InvalidArgument
from onecopy.units import format_size, parse_size

if TYPE_CHECKING:
    from onecopy.planner.pools.memory import Memory

_UNLIMITED = 1 << 62


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """A piece of a pool: `nbytes` from `offset` on, in a piece of `granted` bytes."""

    offset: int
    nbytes: int
    granted: int
    memory: Memory | None = field(default=None, repr=False)

    def view(self) -> memoryview:
        """Return the block's memory; once freed, it may be another block's too."""
        if self.memory is None:
            raise InvalidArgument("this pool has addresses only; make it with memory=Memory(...)")
        return self.memory.view(self.offset, self.nbytes)


@dataclass(frozen=True, slots=True)
class Stats:
    """The books of a pool, in bytes.

    `reserved` are addresses; `committed` is the part of them that takes memory once those who have
    a block write to all of it; `in_use` is what was asked for. `resident` is what the kernel says
    that the memory takes (None for addresses only).
    """

    reserved: int
    committed: int
    in_use: int
    blocks: int
    peak_committed: int
    peak_in_use: int
    resident: int | None = None

    @property
    def fragmentation(self) -> float:
        """The part of the committed memory that nobody uses, 0 to 1."""
        return 1 - self.in_use / self.committed if self.committed else 0.0


class Pool(ABC):
    """Hands out blocks and takes them back, in any order, from any thread.

    Pool(capacity="1GiB")            refuses with `BudgetExceeded` (a MemoryError) beyond that
    Pool(memory=Memory("1GiB"))      blocks have memory: `block.view()`

    Offsets are multiples of `alignment`, which is a power of two.
    """

    def __init__(
        self,
        *,
        capacity: int | str | None = None,
        memory: Memory | None = None,
        alignment: int = 64,
    ) -> None:
        if alignment < 1 or alignment & (alignment - 1):
            raise InvalidArgument(f"an alignment is a power of two, not {alignment}")
        room = _UNLIMITED if memory is None else memory.nbytes
        self.capacity = room if capacity is None else min(parse_size(capacity), room)
        self.alignment = alignment
        self._memory = memory
        self._lock = threading.Lock()
        self._live: dict[int, Block] = {}
        self._in_use = self._peak_in_use = self._peak_committed = 0

    def allocate(self, nbytes: int) -> Block:
        """Return a block of `nbytes` bytes; its content is what was there before, or zeros.

        Raises `BudgetExceeded` when the pool's capacity does not have it.
        """
        if not isinstance(nbytes, int) or nbytes < 0:
            raise InvalidArgument(f"a block has a number of bytes, not {nbytes!r}")
        if self._memory is not None:
            self._memory.check()
        with self._lock:
            place = self._place(nbytes)
            # A pool may have grown before it found that it cannot grow far enough.
            self._peak_committed = max(self._peak_committed, self._committed())
            if place is None:
                raise BudgetExceeded(self._refusal(nbytes))
            block = Block(place[0], nbytes, place[1], self._memory)
            self._live[block.offset] = block
            self._in_use += nbytes
            self._peak_in_use = max(self._peak_in_use, self._in_use)
            return block

    def free(self, block: Block) -> None:
        """Take a block back; `InvalidArgument` if it is not out, or not of this pool."""
        with self._lock:
            if self._live.get(block.offset) is not block:
                raise InvalidArgument(f"{block} is not out: it was freed before, or is another's")
            del self._live[block.offset]
            self._in_use -= block.nbytes
            self._give(block)

    def trim(self) -> None:
        """Give back to the system what no block needs."""
        with self._lock:
            self._trim()

    @property
    def stats(self) -> Stats:
        """The books at this moment."""
        with self._lock:
            return Stats(
                reserved=self._reserved(),
                committed=self._committed(),
                in_use=self._in_use,
                blocks=len(self._live),
                peak_committed=self._peak_committed,
                peak_in_use=self._peak_in_use,
                resident=None if self._memory is None else self._memory.resident,
            )

    def _place(self, nbytes: int) -> tuple[int, int] | None:
        place = self._take(max(nbytes, 1))
        if place is None:
            self._trim()
            place = self._take(max(nbytes, 1))
        return place

    def _refusal(self, nbytes: int) -> str:
        left = self.capacity - self._in_use
        why = " in pieces that are too small" if left >= nbytes else ""
        return (
            f"a block of {format_size(nbytes)} does not fit: {format_size(self._in_use)} of "
            f"{format_size(self.capacity)} are in use, {format_size(left)} are left{why}; "
            "free blocks, or raise the pool's capacity"
        )

    def _round(self, nbytes: int) -> int:
        return -(-nbytes // self.alignment) * self.alignment

    @abstractmethod
    def _take(self, nbytes: int) -> tuple[int, int] | None:
        """Return the offset and length of a piece for `nbytes` (at least one); None if none is."""

    @abstractmethod
    def _give(self, block: Block) -> None:
        """Take a piece back."""

    @abstractmethod
    def _trim(self) -> None:
        """Give back what waits to be used again."""

    @abstractmethod
    def _reserved(self) -> int: ...

    @abstractmethod
    def _committed(self) -> int: ...
