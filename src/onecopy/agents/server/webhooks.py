"""Webhooks: a delivery is checked, understood and on disk before it is answered."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from onecopy.agents.server.bodies import Bodies
from onecopy.agents.server.service import queued
from onecopy.agents.signature import check_secret, verify
from onecopy.errors import ForgedEvent, InvalidEvent, InvalidManifest, QueueUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onecopy.agents.manifest import Manifest
    from onecopy.agents.manifest.triggers import Webhook
    from onecopy.agents.queue.queue import Queue
    from onecopy.agents.secrets import Secrets

_log = logging.getLogger(__name__)
_RETRY_SECONDS: Final = "5"
_QUIET: Final = 10.0
"""Seconds between two lines of the log about deliveries that are turned away."""


class Webhooks:
    """The public side of a server: a route for each `[[triggers.webhook]]`.

    Answers: 202 with `{"id": …, "status": "new" | "duplicate" | "revived"}` once the event is on
    disk; 202 with `{"status": "ignored"}` if no trigger waits for such an event; 400 for what is no
    event; 401 for a wrong signature; 408 for a body that does not come; 413 if it is too large; 503
    if the disk does not take it, or there are too many at once.

    Args:
        manifests: of the agents.
        queue: where events go.
        secrets: of the server.
        bodies: reads deliveries.

    Raises:
        InvalidArgument: a secret is missing, or nothing can be signed with it.
        InvalidManifest: two agents have a webhook at the same path.
    """

    def __init__(
        self,
        manifests: Iterable[Manifest],
        queue: Queue,
        secrets: Secrets,
        bodies: Bodies | None = None,
    ) -> None:
        self._queue = queue
        self._secrets = secrets
        self._bodies = bodies or Bodies()
        self._turned_away = _TurnedAway()
        self._routes: dict[str, tuple[Manifest, Webhook]] = {}
        for manifest in manifests:
            for webhook in manifest.triggers.webhook:
                self._add(manifest, webhook)

    def _add(self, manifest: Manifest, webhook: Webhook) -> None:
        check_secret(webhook.signature, self._secrets.read(webhook.secret))
        if webhook.path in self._routes:
            other = self._routes[webhook.path][0].name
            raise InvalidManifest(
                f"{manifest.name} and {other} both have a webhook at {webhook.path}; give one of "
                "them another path"
            )
        self._routes[webhook.path] = (manifest, webhook)

    def application(self) -> web.Application:
        """Return what serves them."""
        app = web.Application()
        app.router.add_get("/healthz", _healthy)
        for path in self._routes:
            app.router.add_post(path, self._receive)
        return app

    async def _receive(self, request: web.Request) -> web.Response:
        manifest, webhook = self._routes[request.path]
        try:
            return _answer(202, **await self._accept(manifest, webhook, request))
        except ForgedEvent as error:
            return _answer(401, error=str(error))
        except InvalidEvent as error:
            return _answer(400, error=str(error))
        except QueueUnavailable as error:
            self._turned_away.note(error)
            response = _answer(503, error="events cannot be stored just now; deliver it again")
            response.headers["Retry-After"] = _RETRY_SECONDS
            return response

    async def _accept(
        self, manifest: Manifest, webhook: Webhook, request: web.Request
    ) -> dict[str, str]:
        body = await self._bodies.read(request, manifest.limits.event)
        secret = self._secrets.read(webhook.secret)
        delivery = verify(webhook.signature, secret, list(request.headers.items()), body)
        bound = manifest.bind_delivery(webhook, request.headers, _decoded(body))
        if bound is None:
            return {"status": "ignored"}
        submission = queued(manifest, bound, webhook.path)
        accepted = await self._queue.put(submission, delivery.id, delivery.body_hash)
        return {"id": accepted.id, "status": accepted.status}


class _TurnedAway:
    """Logs now and then how many deliveries were: there may be thousands, and the disk is full."""

    def __init__(self) -> None:
        self._count = 0
        self._logged = -_QUIET

    def note(self, error: QueueUnavailable) -> None:
        """One more was."""
        self._count += 1
        if time.monotonic() - self._logged > _QUIET:
            _log.error("deliveries turned away since the server began: %d; %s", self._count, error)
            self._logged = time.monotonic()


def _decoded(body: bytes) -> Any:
    try:
        payload = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent(f"the body is no JSON: {error}") from None
    if not isinstance(payload, dict):
        raise InvalidEvent("the body is no JSON object")
    return payload


async def _healthy(_: web.Request) -> web.Response:
    return _answer(200, status="ok")


def _answer(status: int, /, **what: str) -> web.Response:
    body = msgspec.json.encode(what)
    return web.Response(status=status, body=body, content_type="application/json")
