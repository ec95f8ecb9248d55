"""A session: one client process and one incarnation of a daemon.

It holds the index, a way to open entries, and idle channels. When the daemon dies, restarts,
or the process forks, a session is thrown away and another one made; nothing is carried over.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

from onecopy.segments.mapping import map_fd
from onecopy.segments.opening import Opening, mapper
from onecopy.segments.region import as_limit
from onecopy.store import messages, wire
from onecopy.store.channel import Channel, Disconnected
from onecopy.store.index.layout import PULSE_AT, TOUCH_SIZE
from onecopy.store.index.reader import IndexReader
from onecopy.store.openers import FLAGS, DirectOpener, choose_opener

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.segments.mapping import Mapping, Mode
    from onecopy.store.index.slot import Found


_T = TypeVar("_T")

# The count of loads is a u64 that any client may have set: it must not overflow.
_MAX_HITS: Final = (1 << 64) - 1


class Session:
    """The connection to one daemon. `connect()` makes further channels to it."""

    def __init__(self, connect: Callable[[], Channel], direct: bool | None) -> None:
        self._connect = connect
        self._idle: list[Channel] = []
        self.closed = False
        channel = connect()
        try:
            welcome, fds = channel.greet()
            self._adopt(welcome, fds, direct)
        except BaseException:
            channel.close()
            raise
        self._idle.append(channel)

    def _adopt(self, welcome: messages.Welcome, fds: list[int], direct: bool | None) -> None:
        try:
            self.incarnation = welcome.incarnation
            self.pid = welcome.pid
            self.writable = welcome.writable
            self.directory = welcome.directory
            self.arenas = welcome.arenas
            self.index = IndexReader(map_fd(fds[0], welcome.index_size, "readonly"), welcome.thread)
            self._touched = _map_touches(welcome, fds)
            self.touches = self._touched and self._touched.view().cast("Q")
            self.opener = choose_opener(self, welcome, fds[0], direct)
        except OSError as error:
            raise as_limit(error) from error
        finally:
            wire.close_all(fds)

    @property
    def usable(self) -> bool:
        """Whether its daemon lives and its index is the current one."""
        return self.index.current and not self.closed

    def use(self, function: Callable[[Channel], _T]) -> _T:
        """Call `function` with an idle channel or a new one, which is this thread's meanwhile."""
        try:
            channel = self._idle.pop()
        except IndexError:
            channel = self.new_channel()
        try:
            return function(channel)
        finally:
            # With a reply still due on it, it would answer the next one's request.
            if channel.idle and not self.closed:
                self._idle.append(channel)
            else:
                channel.close()

    def new_channel(self) -> Channel:
        """Return a channel of its own, which the caller closes."""
        channel = self._connect()
        try:
            welcome, fds = channel.greet()
            wire.close_all(fds)
            if welcome.incarnation != self.incarnation:
                raise Disconnected("another daemon has taken the place of this session's")
        except BaseException:
            channel.close()
            raise
        return channel

    def mapper(self, found: Found, mode: Mode) -> Callable[[], Mapping | None] | None:
        """Return the quickest way to map an entry again, or None if there is but the long one.

        What it returns is used only while this session is.
        """
        directory = self.opener.directory
        if directory is None:
            return None
        opening = Opening(
            generation=self.index.address + 8 * found.word,
            expected=found.generation,
            pulse=self.index.address + PULSE_AT,
            ino=found.ino,
            size=found.size,
            extent=found.extent,
            modified=found.modified,
            touch=self._touch_address(found.slot),
            thread=self.index.thread,
            directory=directory,
            flags=FLAGS[messages.WRITE if mode == "shared" else messages.READ],
            number=found.fd.encode(),
        )
        return mapper(opening, mode)

    def _touch_address(self, slot: int) -> int | None:
        touched = self._touched
        if touched is None or TOUCH_SIZE * (slot + 1) > touched.nbytes:
            return None
        return touched.address + TOUCH_SIZE * slot

    def open_removed(self, ino: int, what: int) -> int | None:
        """Open a memfd that the daemon keeps for those who still use it; None if it has none."""
        opener = self.opener
        if not isinstance(opener, DirectOpener):
            return None
        number = opener.number_of(ino)
        return None if number is None else opener.open_number(number, what)

    def touch(self, slot: int) -> None:
        """Note that a slot's entry was used: advisory, so two at a time may count as one."""
        touches = self.touches
        if touches is not None:
            touches[2 * slot] = time.monotonic_ns()
            touches[2 * slot + 1] = (touches[2 * slot + 1] + 1) & _MAX_HITS

    def count(self, slot: int) -> None:
        """Note a use of what is in use already: when that was is of no interest."""
        touches = self.touches
        if touches is not None:
            touches[2 * slot + 1] = (touches[2 * slot + 1] + 1) & _MAX_HITS

    def close(self) -> None:
        """Close the idle channels, and those that are given back later."""
        self.closed = True
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return  # Not asked first whether there is one: another thread may take it.


def _map_touches(welcome: messages.Welcome, fds: list[int]) -> Mapping | None:
    if not welcome.touch_size or len(fds) < 2:
        return None
    return map_fd(fds[1], welcome.touch_size, "shared")
