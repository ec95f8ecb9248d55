"""Advisory locks of a store, held by a thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from onecopy.errors import InvalidArgument, LockLost, StoreUnavailable, WaitTimeout
from onecopy.store import messages
from onecopy.store.deadline import Deadline

if TYPE_CHECKING:
    from types import TracebackType

    from onecopy.store.channel import Channel
    from onecopy.store.connection import Connection


class Lock:
    """A lock on a name, or on the whole store; a context manager.

    Locks are advisory: they keep out only those who ask for them. They belong to the thread
    that acquired them, are first come first served, and not re-entrant. The kernel tells the
    store when a holder dies, and the next in line gets the lock.
    """

    def __init__(
        self, connection: Connection, name: str | None, *, shared: bool, timeout: float
    ) -> None:
        self._connection = connection
        self._name = name
        self._shared = shared
        self._timeout = timeout
        self._grant: int | None = None
        self._incarnation = b""

    @property
    def held(self) -> bool:
        """Whether this object holds the lock; the store may have died since."""
        return self._grant is not None

    def acquire(self) -> None:
        """Wait for the lock.

        Raises:
            WaitTimeout: others held it for longer than the timeout.
            LockHeld: this thread has it already.
        """
        thread = threading.get_ident()
        request = messages.Acquire(self._name, self._shared, thread)
        reply, self._incarnation = self._connection.wait(request, Deadline(self._timeout))
        if reply is None:
            what = "the store's lock" if self._name is None else f"the lock {self._name!r}"
            raise WaitTimeout(
                f"{what} was not free within {self._timeout:g} s; wait longer (timeout=-1 for as "
                "long as it takes), or look who holds it"
            )
        self._grant = reply.lock

    def release(self) -> None:
        """Give the lock back.

        Raises:
            LockLost: the store died while it was held; others may have had it since.
        """
        grant, self._grant = self._grant, None
        if grant is None:
            raise InvalidArgument("the lock is not held, so it cannot be released")
        try:
            current = self._connection.use(lambda channel: self._give_back(channel, grant))
        except StoreUnavailable as error:
            raise _lost() from error
        if not current:
            raise _lost()

    def _give_back(self, channel: Channel, grant: int) -> bool:
        # With a channel at hand we know whether the daemon that lives is the one that granted it.
        current = self._connection.incarnation() == self._incarnation
        if current:
            channel.request(messages.Release(grant))
        return current

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _lost() -> LockLost:
    return LockLost(
        "the store died while this lock was held; check what it protected before going on"
    )
