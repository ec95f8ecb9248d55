"""Deliveries are signed, and keep their number when they are sent again."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json

from aiohttp import web
from aiohttp.test_utils import TestServer

from onecopy.demo.agent.github.hooks import Hooks
from onecopy.demo.agent.github.server import GitHubServer
from onecopy.demo.agent.github.state import GitHubState


def test_a_delivery_has_what_one_of_github_has(state: GitHubState) -> None:
    got: list[tuple[str, str, bool, str]] = []

    async def take(request: web.Request) -> web.Response:
        body, headers = await request.read(), request.headers
        signature = "sha256=" + hmac.new(b"secret", body, hashlib.sha256).hexdigest()
        signed = headers["X-Hub-Signature-256"] == signature
        action = json.loads(body)["action"]
        got.append((headers["X-GitHub-Event"], headers["X-GitHub-Delivery"], signed, action))
        return web.json_response({"id": "e"}, status=202)

    async def act() -> None:
        app = web.Application()
        app.router.add_post("/github", take)
        async with TestServer(app) as target:
            hooks = Hooks(GitHubServer(state, token=""), str(target.make_url("/github")), "secret")
            pull = state.pulls[1]
            assert await hooks.pull_request("opened", pull, "d-1") == (202, {"id": "e"})
            await hooks.pull_request("opened", pull, "d-1")
            await hooks.commented(pull, state.comment(1, "ada", "@review-bot"))

    asyncio.run(act())
    assert got[0] == got[1] == ("pull_request", "d-1", True, "opened")
    assert (got[2][0], got[2][2:]) == ("issue_comment", (True, "created"))
