"""Watching what happens to entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.errors import OnecopyError, StoreClosed, StoreUnavailable, WaitTimeout
from onecopy.store import messages
from onecopy.store.channel import Disconnected
from onecopy.store.deadline import Deadline
from onecopy.store.names import HIDDEN

if TYPE_CHECKING:
    from onecopy.store.channel import Channel
    from onecopy.store.messages import Event


class Watch:
    """An iterator over events, from the moment it was made; also a context manager.

    Each `Event` has a `kind` (saved, removed, evicted, expired) and a `name`. A watcher that
    does not keep up gets an event of kind `lost` in place of those it missed. The iteration
    ends when nothing happens for `timeout` seconds.
    """

    def __init__(self, channel: Channel, prefix: str, timeout: float) -> None:
        self._channel: Channel | None = channel
        self._timeout = timeout
        self._hidden = prefix.startswith(HIDDEN)
        Deadline(timeout)
        try:
            channel.request(messages.Subscribe(prefix))
        except (Disconnected, OnecopyError):
            channel.close()
            raise

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> Event:
        while True:
            event = self._next()
            if self._hidden or not event.name.startswith(HIDDEN):
                return event

    def _next(self) -> Event:
        if self._channel is None:
            raise StoreClosed("this watch was closed; make a new one with store.watch()")
        try:
            event: Event = self._channel.await_reply(Deadline(self._timeout))
        except WaitTimeout:
            raise StopIteration from None
        except Disconnected as error:
            self.close()
            raise StoreUnavailable(
                "the store died while it was watched; connect again, and list its names"
            ) from error
        return event

    def close(self) -> None:
        """Stop watching; twice is fine."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
