"""Memory that outputs come from and go back to: the C library's arena, kept warm."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from onecopy.forks import no_fork
from onecopy.native.arenas import facts_of
from onecopy.planner.running import native_modes
from onecopy.segments import region

if TYPE_CHECKING:
    from onecopy.planner.running.layout import Layout

# Addresses: for as many runs' outputs at a time, and at least so many bytes.
_HELD: Final = 64
_LEAST: Final = 1 << 30

_u64 = ctypes.c_uint64


class PoolStats(NamedTuple):
    """What a pool of outputs has, in bytes."""

    reserved: int
    """Addresses."""
    committed: int
    """Memory that it takes of the system."""
    in_use: int
    """What live outputs occupy, in pages or in cells of one."""
    outputs: int
    """How many live."""

    @property
    def fragmentation(self) -> float:
        """The part of the committed memory that nobody uses, 0 to 1."""
        return max(0.0, 1 - self.in_use / self.committed) if self.committed else 0.0


class OutputPool:
    """An arena for the outputs of a plan. Of what is freed, one run's outputs stay in memory."""

    def __init__(self, layout: Layout) -> None:
        self._library = native_modes.install()
        warm = sum(each.nbytes for each in layout.slots if each.kept)
        nbytes = _pages(max(_HELD * warm, _LEAST))
        self._number = _u64()
        with no_fork:  # A child would keep the descriptors.
            fd, readonly = _memfd(nbytes)
            code = self._library.slow.onecopy_arena_new(
                fd, readonly, _u64(nbytes), _u64(_pages(warm)), ctypes.byref(self._number)
            )
            if code:
                os.close(fd)
                os.close(readonly)
        native_modes.check(code)

    @property
    def id(self) -> int:
        """The id of the native arena."""
        return self._number.value

    def release(self) -> None:
        """Let it end with its last output and the plan; twice is fine."""
        self._library.slow.onecopy_arena_release(self._number)

    def stats(self) -> PoolStats | None:
        """Return what it has; None when it has ended, or is a parent process's."""
        facts = facts_of(self._number)
        if facts is None or facts.fd < 0:
            return None
        committed = os.fstat(facts.fd).st_blocks * 512
        return PoolStats(facts.nbytes, committed, facts.used, facts.blocks)


def _memfd(nbytes: int) -> tuple[int, int]:
    """Return a memfd, and a read-only descriptor of a description of its own."""
    fd = region.create("onecopy-outputs", nbytes)
    try:
        region.seal(fd, mutable=True)
        return fd, region.reopen(fd)
    except OSError as error:
        os.close(fd)
        raise region.as_limit(error) from error


def _pages(nbytes: int) -> int:
    return -(-nbytes // region.PAGE) * region.PAGE
