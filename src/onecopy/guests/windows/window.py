"""Windows: pages of a tensor in a guest's memory.

Read-only windows are copy-on-write maps of a read-only descriptor, never read-only pages: a guest's
bulk instructions and host calls on its behalf run in host code, where a fault is not a trap but the
end of the process. What a guest writes there are private pages; they are counted against its limit
and dropped before its next call.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import TYPE_CHECKING, Final

from onecopy.errors import InvalidArgument, LimitReached, WindowRefused
from onecopy.guests.wasm import control
from onecopy.guests.windows.pagemap import page_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from onecopy.guests.wasm.memory import LinearMemory
    from onecopy.guests.windows.source import Source

_MAP_FIXED: Final = 0x10
_MAP_NORESERVE: Final = 0x4000
_MADV_DONTNEED: Final = 4
_READ_WRITE: Final = mmap.PROT_READ | mmap.PROT_WRITE

_libc = ctypes.CDLL(None, use_errno=True)
_mmap = _libc.mmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_madvise = _libc.madvise
_madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Window:
    """One tensor, mapped; made by `Windows.open`."""

    def __init__(self, name: str, source: Source, address: int, generation: int) -> None:
        self.name = name
        self.address = address
        """Of its first page in the guest's memory."""
        self.extent = source.extent
        self.lead = source.lead
        self.writable = source.writable
        self._owner = source.owner
        self.nbytes = source.nbytes
        self.described = control.Described(
            name=name,
            address=address + source.lead,
            flags=control.WRITABLE * source.writable | control.COPIED * source.copied,
            nbytes=source.nbytes,
            dtype=source.dtype,
            generation=generation,
            shape=source.shape,
            strides=source.strides,
        )

    def __repr__(self) -> str:
        access = "rw" if self.writable else "r"
        return f"<Window {self.name!r} ({access}), {self.nbytes} bytes>"


class Windows:
    """The windows of one guest."""

    def __init__(self, memory: LinearMemory) -> None:
        self._memory = memory
        self._windows: dict[str, Window] = {}
        self._generation = 0
        self.rehearsing = False
        """Whether what the guest writes reaches nobody, in writable windows either: see `share`."""

    def __iter__(self) -> Iterator[Window]:
        return iter(self._windows.values())

    def __contains__(self, name: object) -> bool:
        return name in self._windows

    def __getitem__(self, name: str) -> Window:
        return self._windows[name]

    def described(self) -> list[control.Described]:
        """Return what the guest is told of them, in the order in which they were opened."""
        return [each.described for each in self._windows.values()]

    def open(self, name: str, source: Source) -> Window:
        """Map a tensor; a window of that name is replaced, and kept if this one is refused.

        Raises:
            WindowRefused: too many windows, too long a name, a segment that is or may become too
                short, or no room in the guest's memory.
        """
        old = self._windows.get(name)
        self._check(name, source, old)
        address = self._memory.reserve(source.extent)
        try:
            _map(self._memory.base + address, source, source.writable and not self.rehearsing)
        except BaseException:
            self._memory.release(address, source.extent)
            raise
        if old is not None:
            self._unmap(old)
        self._generation += 1
        self._windows[name] = window = Window(name, source, address, self._generation)
        return window

    def _check(self, name: str, source: Source, old: Window | None) -> None:
        if old is None and len(self._windows) == control.MAX_WINDOWS:
            raise WindowRefused(
                f"a guest has at most {control.MAX_WINDOWS} windows; close one first, or lay "
                "several tensors into one"
            )
        check_window(name, source)

    def take_layout(self, other: Windows, sources: Mapping[str, Source]) -> None:
        """Map a source for each window of another instance, at the same address."""
        for name, window in other._windows.items():
            source = sources[name]
            self._check(name, source, None)
            if (source.extent, source.lead) != (window.extent, window.lead):
                raise WindowRefused(
                    f"{name!r} covers {source.extent} bytes here and {window.extent} in the guest "
                    "that this one follows, or starts elsewhere in its page; give it a tensor of "
                    "the same size and alignment"
                )
            shared = source.writable and not self.rehearsing
            _map(self._memory.base + window.address, source, shared)
            generation = window.described.generation
            self._windows[name] = Window(name, source, window.address, generation)
        self._generation = other._generation

    def share(self, sources: Mapping[str, Source]) -> None:
        """End the rehearsal: writable windows show their tensors, and others see what is written.

        What the guest wrote there until now is dropped.
        """
        self.rehearsing = False
        for name, window in self._windows.items():
            if window.writable:
                _map(self._memory.base + window.address, sources[name], shared=True)

    def blank(self, name: str) -> None:
        """Show zeros in the place of a tensor, until `show` or `share`."""
        window = self._windows[name]
        _map_zeros(self._memory.base + window.address, window.extent)

    def show(self, name: str, source: Source) -> None:
        """Show a window's tensor again."""
        window = self._windows[name]
        shared = window.writable and not self.rehearsing
        _map(self._memory.base + window.address, source, shared)

    def drop(self, name: str) -> None:
        """Drop what was written to a window in a rehearsal, uncounted."""
        window = self._windows[name]
        _madvise(self._memory.base + window.address, window.extent, _MADV_DONTNEED)

    def close(self, name: str) -> None:
        """Take a window away; the guest finds zeros there."""
        if name not in self._windows:
            raise InvalidArgument(
                f"the guest has no window {name!r}; it has {', '.join(self._windows) or 'none'}"
            )
        self._unmap(self._windows.pop(name))

    def close_all(self) -> None:
        """Take all away: before the instance goes, whose memory may be used again."""
        for name in list(self._windows):
            self.close(name)

    def _unmap(self, window: Window) -> None:
        _map_zeros(self._memory.base + window.address, window.extent)
        self._memory.release(window.address, window.extent)

    def drop_written(self) -> int:
        """Drop what the guest wrote to where it may only read; return how many bytes that were.

        Read-only windows show the tensor again as it is now; released regions are empty again.
        """
        windows = self._windows.values()
        private = [each for each in windows if self.rehearsing or not each.writable]
        ranges = [(each.address, each.extent) for each in private]
        base = self._memory.base
        return sum(
            _drop_private(base + address, nbytes)
            for address, nbytes in [*ranges, *self._memory.released()]
        )


def check_window(name: str, source: Source) -> None:
    """Raise `WindowRefused` for what is no window of any guest."""
    if not 0 < len(name.encode()) <= control.NAME_NBYTES or "\0" in name:
        raise WindowRefused(
            f"a window's name has 1 to {control.NAME_NBYTES} bytes of UTF-8 and no NUL; "
            f"{name!r} does not"
        )
    if len(source.shape) > control.MAX_RANK:
        raise WindowRefused(
            f"{name!r} has {len(source.shape)} dimensions, and a window at most "
            f"{control.MAX_RANK}; reshape it"
        )
    if not source.checked():
        raise WindowRefused(
            f"the segment of {name!r} is shorter than the tensor in it, or may become so: "
            "give a tensor of a store"
        )


def _map(where: int, source: Source, shared: bool) -> None:
    sharing = mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE | _MAP_NORESERVE
    _place(where, source.extent, sharing, source.fd, source.offset)


def _map_zeros(where: int, nbytes: int) -> None:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    _place(where, nbytes, flags, -1, 0)


def _place(where: int, nbytes: int, flags: int, fd: int, offset: int) -> None:
    if _mmap(where, nbytes, _READ_WRITE, flags | _MAP_FIXED, fd, offset) != where:
        code = ctypes.get_errno()
        raise LimitReached(
            code,
            f"mapping {nbytes} bytes into a guest failed: {os.strerror(code)}; raise the sysctl "
            "vm.max_map_count, or close windows",
        )


def prepare() -> None:
    """Open what `drop_written` asks the kernel through: before a sandbox forbids opening."""
    page_map()


def _drop_private(start: int, nbytes: int) -> int:
    """Drop the private pages of a range; return their bytes."""
    scanner = page_map()
    if scanner is None:
        # Nobody says what was written: all pages are mapped anew, and nothing is charged.
        _madvise(start, nbytes, _MADV_DONTNEED)
        return 0
    dropped = 0
    for first, last in scanner.private(start, start + nbytes):
        _madvise(first, last - first, _MADV_DONTNEED)
        dropped += last - first
    return dropped
