"""The model of a test: answers in their order, or a function of the request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from onecopy_agent import errors

if TYPE_CHECKING:
    from collections.abc import Callable


def tool_call(name: str, arguments: dict[str, Any] | str, id: str = "call-1") -> dict[str, Any]:
    """Return what a model says that wants a tool called; a text of arguments is taken as it is."""
    raw = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": id, "type": "function", "function": {"name": name, "arguments": raw}}


def completion(text: str = "", calls: list[dict[str, Any]] | None = None, **usage: int) -> Any:
    """Return a chat completion as the OpenAI API has it."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = calls
    finish = "tool_calls" if calls else "stop"
    counted = {"prompt_tokens": 10, "completion_tokens": 5, **usage}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"object": "chat.completion", "choices": [choice], "usage": counted}


class Llm:
    """What answers chats; `requests` has all of them."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self._replies: list[Any] = []
        self._serve: Callable[[dict[str, Any]], Any] | None = None

    def reply(self, *replies: Any) -> None:
        """Answer the next chats: with a text, a completion, or an exception to raise."""
        self._replies.extend(replies)

    def serve(self, function: Callable[[dict[str, Any]], Any]) -> None:
        """Let a function answer every chat, once the given replies are used up."""
        self._serve = function

    def chat(self, text: str) -> str:
        """Answer one chat."""
        request = json.loads(text)
        self.requests.append(request)
        reply = self._next(request)
        if isinstance(reply, Exception):
            raise reply
        return json.dumps(completion(reply) if isinstance(reply, str) else reply)

    def _next(self, request: dict[str, Any]) -> Any:
        if self._replies:
            return self._replies.pop(0)
        if self._serve is None:
            raise errors.NotGranted("add to agent.toml: [grants.llm]; in a test: host.llm.reply(…)")
        return self._serve(request)
