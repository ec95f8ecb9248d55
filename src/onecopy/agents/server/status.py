"""The private side of a server: pages that show what agents do, and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from onecopy.agents.server.service import Service


class Status:
    """Shows a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def application(self) -> web.Application:
        """Return what serves the pages."""
        return web.Application()
