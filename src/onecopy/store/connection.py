"""The way from a handle to its daemon: found, lost, and found again when another has its place."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from onecopy.errors import StoreClosed, StoreUnavailable
from onecopy.store.channel import Channel, Disconnected, stuck
from onecopy.store.deadline import Deadline
from onecopy.store.loader import Loader
from onecopy.store.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.store.messages import Message
    from onecopy.store.runtime import Place

_T = TypeVar("_T")

_FIRST_RETRY: Final = 0.002
_LONGEST_RETRY: Final = 0.1

NOW: Final = Deadline(0)


class Connection:
    """One handle's session with a daemon, made anew if that dies; usable from several threads.

    Raises:
        StoreUnavailable: no daemon answered before the deadline.
    """

    def __init__(self, place: Place, direct: bool | None, deadline: Deadline) -> None:
        self.place = place
        self.direct = direct
        """Whether entries are opened in the daemon's /proc; None: where that can be."""
        self.session: Session | None = None
        self.loader: Loader | None = None
        """Of the session."""
        self._closed = False
        self._connecting = threading.Lock()
        self._connect(deadline)

    def live(self, deadline: Deadline = NOW) -> Session:
        """Return a session with a living daemon, connecting anew if need be."""
        session = self.session
        if session is None or not session.usable:
            session = self._connect(deadline)
        return session

    def live_loader(self, deadline: Deadline = NOW) -> tuple[Session, Loader]:
        """Return a living session and what loads by it."""
        session = self.live(deadline)
        return session, self.loader or Loader(session)

    def _connect(self, deadline: Deadline) -> Session:
        with self._connecting:
            session = self.session
            if session is not None and session.usable:
                return session
            if self._closed:
                raise StoreClosed(
                    f"this handle of store {self.place.name!r} was closed; connect again"
                )
            if session is not None:
                session.close()
            session = self._retry(deadline, lambda: Session(self._new_channel, self.direct))
            self.loader = Loader(session)
            self.session = session
            return session

    def _new_channel(self) -> Channel:
        try:
            return Channel(self.place.connect())
        except BlockingIOError as error:
            raise stuck() from error

    def ask(self, message: Message, fds: tuple[int, ...] = ()) -> Any:
        """Carry out one request. A daemon that died before it answered took its state along,
        so asking its successor once more repeats nothing."""
        return self.use(lambda channel: channel.request(message, fds))

    def use(self, act: Callable[[Channel], _T], deadline: Deadline = NOW) -> _T:
        """Do something with a channel; once more, if the daemon dies over it."""
        for attempt in range(2):
            try:
                return self.live(deadline).use(act)
            except (Disconnected, FileNotFoundError, ConnectionRefusedError) as error:
                if isinstance(error, OSError) and not _is_plain(error):
                    raise
                self.drop()
                if attempt:
                    raise self._unavailable() from error
        raise AssertionError("not reached")

    def wait(
        self, message: Message, deadline: Deadline, reconnect: Deadline = NOW
    ) -> tuple[Any, bytes]:
        """Carry out a request that waits; the reply is None if its time passed.

        If the daemon dies, a next one is waited for until `reconnect`. Beside the reply comes the
        incarnation of the daemon that gave it.
        """
        return self.use(
            lambda channel: (channel.await_or_withdraw(message, deadline), self.incarnation()),
            reconnect,
        )

    def incarnation(self) -> bytes:
        """Return what names the daemon that this is a connection to."""
        session = self.session
        return b"" if session is None else session.incarnation

    def own_channel(self, begin: Callable[[Channel], _T]) -> _T:
        """Begin something that keeps a channel for itself."""
        return self._retry(NOW, lambda: begin(self.live().new_channel()))

    def drop(self) -> None:
        """Give the session up; the next use makes another."""
        session = self.session
        if session is not None:
            session.close()

    def _retry(self, deadline: Deadline, connect: Callable[[], _T]) -> _T:
        """Call `connect` until it finds a daemon, or the deadline passes."""
        pause = _FIRST_RETRY
        while True:
            try:
                return connect()
            except (Disconnected, FileNotFoundError, ConnectionRefusedError) as error:
                if isinstance(error, OSError) and not _is_plain(error):
                    raise
                if deadline.passed:
                    raise self._no_store() from error
            remaining = deadline.remaining
            time.sleep(pause if remaining is None else min(pause, remaining))
            pause = min(2 * pause, _LONGEST_RETRY)

    def _no_store(self) -> StoreUnavailable:
        name, base = self.place.name, self.place.base
        return StoreUnavailable(
            f"no store {name!r} answers in {base}; start one with `onecopy serve {name}` or "
            "onecopy.start(), and check that ONECOPY_RUNTIME_DIR is the same for both sides"
        )

    def _unavailable(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"the store {self.place.name!r} died; restart it (`onecopy serve {self.place.name}`), "
            "and this handle will find it"
        )

    @property
    def closed(self) -> bool:
        """Whether it was closed, for good."""
        return self._closed

    def close(self) -> None:
        """End it; twice is fine."""
        with self._connecting:
            self._closed = True
            session, self.session, self.loader = self.session, None, None
        if session is not None:
            session.close()

    def after_fork(self) -> None:
        """Forget, in a forked child, what is the parent's."""
        self._connecting = threading.Lock()
        self.session = self.loader = None


def _is_plain(error: OSError) -> bool:
    """Say whether the system raised it; our own errors have OSErrors among their parents."""
    return type(error).__module__ == "builtins"
