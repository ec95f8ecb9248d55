"""From names to addresses."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

_THREADS: Final = 8


class Resolver(Protocol):
    """What finds the addresses of a name; a client asks once for each request."""

    async def resolve(self, host: str, port: int) -> list[str]:
        """Return addresses, in the order in which to try them.

        Raises:
            OSError: there are none, or they cannot be found now.
        """

    def close(self) -> None:
        """Give back what it holds."""


class SystemResolver:
    """The system's resolver, in threads of its own: a name server that hangs holds up no others."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "onecopy-dns")

    async def resolve(self, host: str, port: int) -> list[str]:
        """Ask `getaddrinfo`, as `Resolver` says."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _ask, host, port)
        return list(dict.fromkeys(found))

    def close(self) -> None:
        """End its threads; one that still waits for a name server ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _ask(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]
