"""A client that answers from a file, for trials of agents: nothing is sent anywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from onecopy.agents.calls import INVALID, Refused
from onecopy.agents.grants.http.answer import Stream
from onecopy.agents.grants.http.client import Client
from onecopy.agents.secrets import Secrets

if TYPE_CHECKING:
    from onecopy.agents.secrets import Secret

_COMPLETIONS: Final = "/chat/completions"


class Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a request is answered: JSON, or a text."""

    status: int = 200
    headers: dict[str, str] = {}
    json: Any = None
    text: str = ""

    @property
    def body(self) -> bytes:
        """The body as it is sent."""
        return self.text.encode() if self.json is None else msgspec.json.encode(self.json)


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model answers that wants a tool called."""

    tool: str
    arguments: dict[str, Any] = {}


Said: TypeAlias = str | ToolCall


class Canned(Client):
    """Answers requests that grants allow with what it was given.

    Args:
        pages: by method and URL, such as `GET https://api.example.com/zen`.
        completions: what a model says, in the order in which it is asked.

    Raises:
        Refused: `invalid`, from a request that it has no answer for; the text says where to
            add one.
    """

    def __init__(self, pages: Mapping[str, Page], completions: Sequence[Said]) -> None:
        super().__init__()
        self._pages = pages
        self._completions = iter(completions)

    @asynccontextmanager
    async def stream(self, method: str, url: Any, *_: Any, **__: Any) -> AsyncIterator[Stream]:
        """Answer one request."""
        asked = f"{method} {url}"
        page = self._pages.get(asked)
        if page is None and asked.endswith(_COMPLETIONS):
            page = _completion(next(self._completions, None))
        if page is None:
            raise Refused(INVALID, f'the event\'s file has no answer; add to "http": "{asked}"')
        body = page.body
        yield Stream(page.status, list(page.headers.items()), lambda: _once(body))


class Placeholders(Secrets):
    """Secrets of trials: none is read, and each has the same value."""

    def read(self, secret: Secret) -> str:
        """Return what stands for a secret."""
        return f"placeholder-of-{secret.partition(':')[2]}"


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _completion(said: Said | None) -> Page:
    """Write a model's answer as endpoints stream it."""
    if said is None:
        raise Refused(INVALID, 'the event\'s file has no further answer; add a text to "llm"')
    delta: dict[str, Any] = {"role": "assistant", "content": said}
    finish = "stop"
    if isinstance(said, ToolCall):
        delta = {"role": "assistant", "tool_calls": [_tool_call(said)]}
        finish = "tool_calls"
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = msgspec.json.encode({"id": "canned", "model": "canned", "choices": [choice]}).decode()
    return Page(
        headers={"content-type": "text/event-stream"}, text=f"data: {chunk}\n\ndata: [DONE]\n\n"
    )


def _tool_call(said: ToolCall) -> dict[str, Any]:
    arguments = msgspec.json.encode(said.arguments).decode()
    function = {"name": said.tool, "arguments": arguments}
    return {"index": 0, "id": f"call-{said.tool}", "type": "function", "function": function}
