"""A client's connections to the daemon.

One request at a time goes over a channel, so one that waits (a lock, an entry to come) has it
for itself. A session keeps the idle ones; threads never wait for each other.
"""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING, Any

from onecopy.errors import InvalidArgument, OnecopyError, StoreUnavailable, WaitTimeout
from onecopy.store import messages, wire
from onecopy.store.runtime import PATIENCE

if TYPE_CHECKING:
    from onecopy.store.deadline import Deadline
    from onecopy.store.messages import Message

# The token by which the daemon tells this process from others; a forked child draws its own.
_token = os.urandom(16)


def _draw_token() -> None:
    global _token
    _token = os.urandom(16)


os.register_at_fork(after_in_child=_draw_token)


class Disconnected(Exception):
    """The daemon closed the connection, or died."""


class Channel:
    """One connection; not for two threads at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.idle = True
        """False while a reply is due: then the channel is of no use to anybody else."""

    def greet(self) -> tuple[messages.Welcome, list[int]]:
        """Shake hands; return the welcome and the descriptors of index and touches."""
        reply, fds = self.exchange(messages.Hello(messages.VERSION, _token))
        if not isinstance(reply, messages.Welcome) or not fds:
            wire.close_all(fds)
            raise Disconnected("no welcome")
        return reply, fds

    def request(self, message: Message, fds: tuple[int, ...] = ()) -> Any:
        """Send a request and return the reply; raises the error that a refusal carries."""
        self.send(message, fds)
        return self.answer()

    def exchange(self, message: Message, fds: tuple[int, ...] = ()) -> tuple[Any, list[int]]:
        """Like `request`, and return the descriptors that came along."""
        self.send(message, fds)
        return self._reply()

    def hand_over(self, message: Message, fd: int) -> Any:
        """Like `request` with one descriptor, in fewer steps."""
        data = _encode(message)
        self.idle = False
        try:
            answer = wire.exchange(self._sock, data, fd)
        except OSError as error:
            raise _broken(error) from error
        return (self._reply() if answer is None else self._parse(answer, []))[0]

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Send a request; its `answer` is due, and may take its time."""
        data = _encode(message)
        self.idle = False
        try:
            wire.send(self._sock, data, fds)
        except OSError as error:
            raise _broken(error) from error

    def answer(self) -> Any:
        """Return the reply to what was sent; raises the error that a refusal carries."""
        reply, received = self._reply()
        wire.close_all(received)
        return reply

    def _reply(self) -> tuple[Any, list[int]]:
        try:
            data, fds = wire.receive(self._sock)
        except (BlockingIOError, ConnectionResetError) as error:
            raise _broken(error) from error
        return self._parse(data, fds)

    def _parse(self, data: bytes, fds: list[int]) -> tuple[Any, list[int]]:
        if not data:
            raise Disconnected("the daemon closed the connection")
        reply = wire.decode_reply(data)
        self.idle = True
        if isinstance(reply, messages.Refused):
            wire.close_all(fds)
            raise reply.to_error()
        return reply, fds

    def await_reply(self, deadline: Deadline) -> Any:
        """Return the next reply; raises `WaitTimeout` if none comes in time."""
        if not self._readable(deadline):
            raise WaitTimeout("nothing came in time; give a longer timeout")
        return self.answer()

    def _readable(self, deadline: Deadline) -> bool:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        while True:
            remaining = deadline.remaining
            # poll counts in whole milliseconds: round up, or the last one is spent spinning. And
            # in an int, which ends at 25 days.
            wait = None if remaining is None else int(min(remaining, 86400) * 1000) + 1
            if poll.poll(wait):
                return True
            if deadline.passed:
                return False

    def await_or_withdraw(self, message: Message, deadline: Deadline) -> Any:
        """Send a request that waits; if its time passes, withdraw it and return None.

        The daemon may have answered just before it hears of the withdrawal: then that is
        what is returned. So nothing is granted to somebody who left.
        """
        self.send(message)
        try:
            return self.await_reply(deadline)
        except WaitTimeout:
            return self._withdraw()
        except KeyboardInterrupt:
            self._leave()
            raise

    def _withdraw(self) -> Any:
        self.send(messages.Cancel())
        try:
            reply = self._reply()[0]
        except OnecopyError:
            # A refusal crossed the withdrawal, whose answer is still to come.
            if self.idle:
                self._skip_reply()
            raise
        if isinstance(reply, messages.Cancelled):
            return None
        self._skip_reply()
        return reply

    def _skip_reply(self) -> None:
        self.idle = False
        self._reply()

    def _leave(self) -> None:
        """Withdraw a request, and give back what it was granted."""
        granted = self._withdraw()
        if isinstance(granted, messages.Granted):
            self.request(messages.Release(granted.lock))

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def __del__(self) -> None:
        # A handle or a watch that its user forgot to close is no reason for a warning.
        self._sock.close()


def _encode(message: Message) -> bytes:
    data = wire.encode(message)
    if len(data) > wire.MESSAGE_LIMIT:
        raise InvalidArgument(
            f"the request has {len(data)} bytes, and a message holds {wire.MESSAGE_LIMIT}; "
            "give fewer names at a time"
        )
    return data


def _broken(error: OSError) -> Exception:
    """Return what to raise for an error of the socket."""
    if isinstance(error, BlockingIOError):
        return stuck()
    if isinstance(error, (BrokenPipeError, ConnectionResetError)):
        return Disconnected(str(error))
    return error


def stuck() -> StoreUnavailable:
    """Return the error to raise when the daemon does not answer."""
    return StoreUnavailable(
        f"the store did not answer for {PATIENCE} s; is its daemon stopped? "
        "(`onecopy doctor` shows its state)"
    )
