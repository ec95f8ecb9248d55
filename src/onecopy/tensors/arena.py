"""Arenas: memory in a file descriptor of their own, in which a thread's tensors are made.

    arena = Arena(1 << 30, "models")
    with arena:
        weights = torch.zeros(1000, 1000)
    arena, offset = locate(weights.data_ptr(), weights.nbytes)

Bytes in an arena are *clean* while this process shares their pages with the arena's file. They
can become an entry without being copied: `locate` says where they are, `freeze` makes them this
process's own, with the file left as it was (I4). From then on they are not clean: they may be
written to, which the file does not see.

An arena lives until the block that made use of it has ended and the last tensor in it has died.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Final, Protocol

from onecopy.errors import InvalidArgument
from onecopy.forks import no_fork
from onecopy.native import Unavailable, allocator
from onecopy.segments import region
from onecopy.tensors import native_memory, plain_memory
from onecopy.tensors.native_memory import NativeMemory
from onecopy.tensors.plain_memory import PlainMemory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import torch

    from onecopy.native.arenas import Facts


# Freed pages that stay in memory while a block is open. Giving each back at once made a forward
# pass four times slower.
WARM: Final = 256 << 20


class SlowStorageWarning(UserWarning):
    """storage() works without the C library here, and is slower."""


class _Backing(Protocol):
    """The memory of an arena: the C library's, or plain Python's."""

    id: int

    def enter(self) -> None: ...
    def leave(self) -> None: ...
    def release(self) -> None: ...
    def facts(self) -> Facts | None: ...
    def freeze(self, extents: Sequence[tuple[int, int]]) -> bool: ...
    def tidy(self) -> None: ...


# All that may still have tensors, by the ids of their memories.
_arenas: dict[int, Arena] = {}


class Arena:
    """A memfd in whose memory the tensors of `with arena:` are allocated, in this thread.

    Args:
        nbytes: how much address space it gets; memory is taken when it is touched. What finds no
            room goes to torch's own allocator, and is counted.
        label: shows up in /proc/<pid>/maps.
        warm: how many bytes of freed memory stay while a block is open.

    Entering it again, within itself or other arenas or in several threads, is fine. Work that
    another thread does for this one (autograd of CPU tensors is not such) is not redirected.
    """

    def __init__(self, nbytes: int, label: str, *, warm: int = WARM) -> None:
        if nbytes <= 0:
            raise InvalidArgument(f"an arena needs at least one byte, not {nbytes}")
        self.label = label
        self.nbytes = -(-nbytes // region.PAGE) * region.PAGE
        self._backing = _back(label, self.nbytes, warm)
        with no_fork:
            _forget_ended()
            _arenas[self._backing.id] = self

    def __enter__(self) -> Arena:
        self._backing.enter()
        return self

    def __exit__(self, *_: object) -> None:
        # Released first, so that it ends here if nothing of it has survived the block.
        self._backing.release()
        self._backing.leave()

    def close(self) -> None:
        """Let it end with its last tensor, though it was never entered; twice is fine."""
        self._backing.release()

    @property
    def facts(self) -> Facts | None:
        """What it holds; None when it has ended."""
        return self._backing.facts()

    @property
    def alive(self) -> bool:
        """Whether it can still be entered."""
        facts = self.facts
        return facts is not None and facts.fd >= 0

    @property
    def fd(self) -> int:
        """Its memfd, sealed in size; valid while the arena lives."""
        facts = self.facts
        if facts is None or facts.fd < 0:
            raise InvalidArgument(f"arena {self.label!r} has ended, or is a parent process's")
        return facts.fd

    @property
    def live_bytes(self) -> int:
        """Bytes that its tensors occupy."""
        facts = self.facts
        return 0 if facts is None else facts.used

    @property
    def resident(self) -> int:
        """Bytes of memory that it takes of the system."""
        return os.fstat(self.fd).st_blocks * 512

    def take(self, nbytes: int) -> torch.Tensor:
        """Return `nbytes` new bytes; outside of the arena if it has no room."""
        import torch

        with self:
            return torch.empty(nbytes, dtype=torch.uint8)

    def freeze(self, extents: Iterable[tuple[int, int]]) -> bool:
        """Make the pages of these extents, (offset, nbytes), this process's own.

        Their addresses and contents stay; what is written from now on does not reach the file.
        False, and nothing has changed, if some of them were frozen since they were located.
        """
        return self._backing.freeze(sorted(extents))

    def tidy(self) -> None:
        """Drop what freezes have left behind, which takes a core for a while: in the background."""
        self._backing.tidy()

    def __repr__(self) -> str:
        return f"<Arena {self.label!r}: {self.live_bytes} of {self.nbytes} bytes in use>"


def any_alive() -> bool:
    """Say whether this process has, or has had, an arena."""
    return bool(_arenas)


def locate(address: int, nbytes: int) -> tuple[Arena, int] | None:
    """Return the arena in which these bytes lie clean, and their offset in its file.

    None if they lie elsewhere, or touch a frozen page. The caller keeps them alive.
    """
    number, offset = _locate(address, nbytes)
    arena = _arenas.get(number)
    return None if arena is None else (arena, offset)


def reopen(dev: int, ino: int) -> int | None:
    """Open the memfd of that number to read, if it is that of an arena of this process."""
    for arena in list(_arenas.values()):
        facts = arena.facts
        if facts is None or facts.fd < 0:
            continue
        status = os.fstat(facts.fd)
        if (status.st_dev, status.st_ino) == (dev, ino):
            return region.reopen(facts.fd)
    return None


def _locate(address: int, nbytes: int) -> tuple[int, int]:
    if plain_memory.memories:
        number, offset = plain_memory.locate(address, nbytes)
        if number:
            return number, offset
    return native_memory.locate(address, nbytes)


def _forget_ended() -> None:
    for number in [each for each, arena in _arenas.items() if arena.facts is None]:
        del _arenas[number]


def _back(label: str, nbytes: int, warm: int) -> _Backing:
    """Make the memfd and its memory, of the kind that this machine and torch allow."""
    redirected = _can_redirect()
    # A child forked in between would keep the descriptors.
    with no_fork:
        fd = region.create(label, nbytes)
        try:
            region.seal(fd, mutable=True)
            readonly = region.reopen(fd)
        except BaseException:
            os.close(fd)
            raise
        try:
            if redirected:
                return NativeMemory(fd, readonly, nbytes, warm)
            return PlainMemory(fd, readonly, nbytes)
        except BaseException:
            os.close(fd)
            os.close(readonly)
            raise


def _can_redirect() -> bool:
    try:
        allocator.install()
    except Unavailable as reason:
        warnings.warn(
            f"storage() takes its slower way, a TorchDispatchMode: {reason}",
            SlowStorageWarning,
            stacklevel=5,
        )
        return False
    return True
