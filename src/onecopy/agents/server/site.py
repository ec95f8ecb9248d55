"""Listening for HTTP: two sites, of which one is public."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import web
from aiohttp.http import HttpProcessingError

from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

_log = logging.getLogger(__name__)
CONNECTIONS: Final = 400
PATIENCE: Final = 75.0
"""Longer than proxies keep idle connections, 60 s as a rule: a delivery that a proxy sends on one
that is just being closed is lost."""

STALLED: Final = 15.0
"""Seconds in which who is sent something reads some of it: what is not read waits in memory."""


class Address(NamedTuple):
    """Where a site listens."""

    host: str
    port: int

    @staticmethod
    def parse(text: str) -> Address:
        """Read `HOST:PORT`, `[::1]:PORT` or `PORT` alone, which is on 127.0.0.1.

        Raises:
            InvalidArgument: it is none of these.
        """
        host, _, port = text.rpartition(":")
        if not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:
            raise InvalidArgument(f"{text!r} is no address; write it like 127.0.0.1:8080")
        return Address(host.strip("[]") or "127.0.0.1", int(port))


class Site:
    """An application that listens while it is entered.

        async with Site(app, Address("127.0.0.1", 0)) as site:
            print(site.url)

    Whoever connects may hold one of a limited number of connections, and has to ask for something
    soon, and to read what is answered: files of this process are few, and what it does needs some.

    Args:
        app: answers.
        address: where it listens.
        connections: at once; others are closed.
        patience: seconds for the head of a request, and between two.

    Raises:
        InvalidArgument: the address is taken, or not ours.
    """

    def __init__(
        self,
        app: web.Application,
        address: Address,
        *,
        connections: int = CONNECTIONS,
        patience: float = PATIENCE,
    ) -> None:
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=5,
            logger=_log,
            keepalive_timeout=patience,
            lingering_time=patience / 10,
            # Who signs a body signs what is sent; and what unpacks to much costs its sender little.
            auto_decompress=False,
        )
        self._address = address
        self._connections = connections
        self._listening: asyncio.Server | None = None
        self._stalls = Stalls()
        self._watching: asyncio.Task[None] | None = None
        self.url = ""

    async def __aenter__(self) -> Site:
        """Listen."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        try:
            self._listening = await loop.create_server(self._accepted, *self._address, backlog=1024)
        except OSError as error:
            await self._runner.cleanup()
            raise InvalidArgument(
                f"nothing can listen at {self._address.host}:{self._address.port} "
                f"({error.strerror or error}); name another address with --listen or --status"
            ) from None
        except BaseException:
            await self._runner.cleanup()
            raise
        self._watching = asyncio.create_task(self._watch())
        host, port = self._listening.sockets[0].getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return self

    def _accepted(self) -> asyncio.Protocol:
        server = self._runner.server
        if server is None or len(server.connections) >= self._connections:
            return _Closed()
        return server()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(STALLED / 2)
            server = self._runner.server
            self._stalls.look(each.transport for each in (server.connections if server else ()))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Answer what was asked for, and listen no more."""
        if self._listening is not None:
            self._listening.close()
        if self._watching is not None:
            self._watching.cancel()
        await self._runner.cleanup()


class Stalls:
    """Ends connections whose other side does not read: seen twice with the same bytes unsent."""

    def __init__(self) -> None:
        self._unsent: dict[asyncio.Transport, int] = {}

    def look(self, transports: Iterable[asyncio.Transport | None]) -> None:
        """Look at all that are open; to be called now and then."""
        before, self._unsent = self._unsent, {}
        for each in transports:
            if each is None or not (unsent := each.get_write_buffer_size()):
                continue
            if before.get(each) == unsent:
                each.abort()
            self._unsent[each] = unsent


class _Ours(logging.Filter):
    """Leaves out what is wrong with strangers' requests: they could fill the disk with it."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError | web.RequestPayloadError)


_log.addFilter(_Ours())


class _Closed(asyncio.Protocol):
    """A connection for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()
