"""Webhooks that a GitHub sends: signed, numbered, and sent again when asked."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

if TYPE_CHECKING:
    from onecopy.demo.agent.github.server import GitHubServer
    from onecopy.demo.agent.github.state import Comment, PullRequest


class Hooks:
    """Sends events of a server to a webhook.

    Args:
        server: whose events.
        url: of the webhook.
        secret: that both know.
    """

    def __init__(self, server: GitHubServer, url: str, secret: str) -> None:
        self._server = server
        self._url = url
        self._secret = secret

    async def pull_request(
        self, action: str, pull: PullRequest, delivery: str | None = None
    ) -> tuple[int, Any]:
        """Tell of a pull request that was `opened`, has new commits (`synchronize`), and so on."""
        shapes = self._server.shapes
        payload = {
            "action": action,
            "number": pull.number,
            "pull_request": shapes.pull_request(pull),
            "repository": shapes.repository(),
            "sender": shapes.user(pull.author),
        }
        return await self.send("pull_request", payload, delivery)

    async def commented(
        self, pull: PullRequest, comment: Comment, delivery: str | None = None
    ) -> tuple[int, Any]:
        """Tell of a comment in the conversation of a pull request."""
        shapes = self._server.shapes
        payload = {
            "action": "created",
            "issue": shapes.issue(pull),
            "comment": shapes.comment(comment),
            "repository": shapes.repository(),
            "sender": shapes.user(comment.author),
        }
        return await self.send("issue_comment", payload, delivery)

    async def send(
        self, event: str, payload: dict[str, Any], delivery: str | None = None
    ) -> tuple[int, Any]:
        """Send one delivery; the same `delivery` is the same one again.

        Returns:
            The status of the answer, and its JSON.
        """
        body = msgspec.json.encode(payload)
        digest = hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/demo",
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": delivery or str(uuid.uuid4()),
            "X-GitHub-Hook-ID": "1",
            "X-Hub-Signature-256": f"sha256={digest}",
        }
        async with (
            aiohttp.ClientSession() as session,
            session.post(self._url, data=body, headers=headers) as answer,
        ):
            return answer.status, msgspec.json.decode(await answer.read())
