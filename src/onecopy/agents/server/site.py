"""Listening for HTTP: two sites, of which one is public."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from types import TracebackType


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

    Raises:
        InvalidArgument: the address is taken, or not ours.
    """

    def __init__(self, app: web.Application, address: Address) -> None:
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=5)
        self._address = address
        self.url = ""

    async def __aenter__(self) -> Site:
        """Listen."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, *self._address, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise InvalidArgument(
                f"nothing can listen at {self._address.host}:{self._address.port} "
                f"({error.strerror or error}); name another address with --listen or --status"
            ) from None
        except BaseException:
            await self._runner.cleanup()
            raise
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Answer what was asked for, and listen no more."""
        await self._runner.cleanup()
