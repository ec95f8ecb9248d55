"""An OpenAI-compatible endpoint of this machine, which reviews code by embeddings.

Its model is a sentence encoder in the store (reviewer.py), not a generative one: it answers prompts
of the code-review bot with remarks from a list, and says of any other prompt that it cannot.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from onecopy.agents.calls import INVALID, NOT_GRANTED, Refused
from onecopy.agents.grants.llm.request import AsSchema, Request, User, parse, text_of
from onecopy.demo.agent.changes import data_of
from onecopy.demo.agent.changes import parse as parse_change
from onecopy.demo.agent.completion import Completion, fitted, tokens_of
from onecopy.demo.agent.overview import merged, overview

if TYPE_CHECKING:
    from onecopy.demo.agent.reviewer import Reviewer

MODEL: Final = "minilm-reviewer"
CONTEXT: Final = 128_000
"""The most tokens of a prompt."""
_BODY_BYTES: Final = 16 << 20
_OTHER: Final = (
    "I am a reviewer made of a sentence encoder and a list of remarks. I can say something about "
    "a change in code, written as the code-review bot writes it, and about nothing else."
)


class LlmServer:
    """The endpoint; it serves until the block is left.

        async with LlmServer(Reviewer(StoreEmbedder(store)), key="secret") as server:
            server.url          # such as http://127.0.0.1:41234/v1

    Args:
        reviewer: answers.
        key: that requests have to bring; any will do if empty.
        host: where it listens.
        port: any free one if 0.
    """

    def __init__(
        self, reviewer: Reviewer, *, key: str = "", host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._reviewer = reviewer
        self._key = key
        self._where = host, port
        self.url = ""
        """What an LLM's grant has as `url`; empty before it serves."""
        self.requests: list[dict[str, Any]] = []
        """The usage of each request that was answered, with its `model`."""

    async def __aenter__(self) -> LlmServer:
        app = web.Application(client_max_size=_BODY_BYTES)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._where).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        refused = self._unknown(request)
        model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "onecopy"}
        return refused or web.json_response({"object": "list", "data": [model]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        refused = self._unknown(request)
        if refused is not None:
            return refused
        try:
            asked = parse((await request.read()).decode(errors="replace"), [MODEL])
        except web.HTTPRequestEntityTooLarge:
            return _error(413, "the request is too large", "request_too_large")
        except Refused as error:
            return _refusal(error)
        size = sum(len(tokens_of(_content(each))) for each in asked.messages)
        if size > CONTEXT:
            text = f"This model's maximum context length is {CONTEXT} tokens, not {size}."
            return _error(400, text, "context_length_exceeded", param="messages")
        done = Completion(asked.model, await self._answer(asked), size, asked.limit)
        self.requests.append({"model": asked.model, **done.usage})
        if not asked.stream:
            return web.json_response(done.whole())
        return await _stream(request, done, (asked.stream_options or {}).get("include_usage"))

    def _unknown(self, request: web.Request) -> web.Response | None:
        if not self._key or request.headers.get("Authorization") == f"Bearer {self._key}":
            return None
        return _error(401, "Incorrect API key provided.", "invalid_api_key")

    async def _answer(self, request: Request) -> str:
        # A later message of the user only asks for a repair of the answer to the first.
        first = next((each for each in request.messages if isinstance(each, User)), None)
        data = data_of(_content(first) if first else "")
        found = await self._found(data)
        wanted = request.response_format
        if isinstance(wanted, AsSchema):
            return json.dumps(fitted(found or {"summary": _OTHER}, wanted.json_schema.schema))
        return _OTHER if found is None else json.dumps(found)

    async def _found(self, data: str) -> dict[str, Any] | None:
        """Review a change, or merge the reviews of its parts; None for anything else."""
        change = parse_change(data)
        if change.files:
            findings = await self._reviewer.review(change)
            told = overview(change, findings)
            return {**told, "findings": [each.to_json() for each in findings]}
        try:
            parts = json.loads(data)
        except (ValueError, RecursionError):
            return None
        return merged(parts) if isinstance(parts, list) and parts else None


def _content(message: Any) -> str:
    return text_of(message.content)


async def _stream(
    request: web.Request, done: Completion, with_usage: bool | None
) -> web.StreamResponse:
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    for event in done.events(with_usage=bool(with_usage)):
        await response.write(event)
    await response.write_eof()
    return response


def _refusal(refused: Refused) -> web.Response:
    code, text = refused.refusal.code, refused.refusal.message
    if code == NOT_GRANTED:
        return _error(404, "The model does not exist.", "model_not_found", param="model")
    return _error(400 if code == INVALID else 413, text, None)


def _error(status: int, text: str, code: str | None, *, param: str | None = None) -> web.Response:
    error = {"message": text, "type": "invalid_request_error", "param": param, "code": code}
    return web.json_response({"error": error}, status=status)
