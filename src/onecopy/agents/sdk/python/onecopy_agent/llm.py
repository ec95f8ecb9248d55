"""Chat completions of the model that `[grants.llm]` names, within its budgets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from onecopy_agent import errors, nesting
from onecopy_agent.host import call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy_agent.tools import Tool


_KEPT = ("content", "tool_calls")
"""Of an answer, what a request may have."""


@dataclass(frozen=True)
class ToolCall:
    """What the model wants called; `arguments` is None where they are no JSON object."""

    id: str
    name: str
    arguments: dict[str, Any] | None
    raw: str = ""


@dataclass(frozen=True)
class Answer:
    """One choice of a completion: its text, the calls it asks for, and what it has cost."""

    text: str
    tool_calls: list[ToolCall]
    finish: str
    """`stop`, `length`, `tool_calls` …"""
    input_tokens: int
    output_tokens: int
    message: dict[str, Any] = field(repr=False, default_factory=dict)
    """As it is appended to the messages of the next call."""

    @property
    def tokens(self) -> int:
        """All tokens that the call has used."""
        return self.input_tokens + self.output_tokens


def chat(
    messages: str | Sequence[dict[str, Any]],
    *,
    model: str = "",
    system: str = "",
    tools: Sequence[Tool | dict[str, Any]] = (),
    schema: dict[str, Any] | None = None,
    **options: Any,
) -> Answer:
    """Complete a conversation, or answer one text.

    `schema` asks for JSON of that schema where the model can; check it nevertheless. `options` go
    into the request as they are: `temperature`, `max_tokens`, `seed`, `stop`.

        llm.chat("Is this polite?\\n" + comment, model=event.settings["model"]).text

    Raises:
        NotGranted, BudgetExceeded, Timeout, Unavailable, Failed: there is no answer.
    """
    request: dict[str, Any] = {"messages": _messages(messages, system), **options}
    if model:
        request["model"] = model
    if tools:
        request["tools"] = [each if isinstance(each, dict) else each.describe() for each in tools]
    if schema is not None:
        named = {"name": "answer", "schema": schema, "strict": True}
        request["response_format"] = {"type": "json_schema", "json_schema": named}
    return _answer(call("llm.chat", json.dumps(request)))


def _messages(messages: str | Sequence[dict[str, Any]], system: str) -> list[dict[str, Any]]:
    first = [{"role": "system", "content": system}] if system else []
    if isinstance(messages, str):
        return [*first, {"role": "user", "content": messages}]
    return [*first, *messages]


def _answer(text: str) -> Answer:
    try:
        reply = json.loads(text)
        choice = reply["choices"][0]
        message = choice["message"]
        calls = [_tool_call(each) for each in message.get("tool_calls") or ()]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise errors.Failed("the model's answer is no chat completion") from None
    usage = reply.get("usage") or {}
    return Answer(
        message.get("content") or "",
        calls,
        choice.get("finish_reason") or "",
        usage.get("prompt_tokens") or 0,
        usage.get("completion_tokens") or 0,
        {"role": "assistant", **{key: message[key] for key in _KEPT if message.get(key)}},
    )


def _tool_call(given: dict[str, Any]) -> ToolCall:
    function = given["function"]
    raw = function.get("arguments") or "{}"
    try:
        arguments = nesting.loads(raw)
    except ValueError:
        arguments = None
    fits = arguments if isinstance(arguments, dict) else None
    return ToolCall(given.get("id") or "", function["name"], fits, raw)
