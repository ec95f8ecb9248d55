"""A request's messages as turns that any chat template takes: system, user and assistant."""

from __future__ import annotations

from typing import Final

import msgspec

from onecopy.agents.grants.llm.request import (
    Assistant,
    Developer,
    Message,
    Request,
    Result,
    System,
    User,
    text_of,
)

_TOOLS: Final = (
    "You can call these functions:\n{tools}\n"
    'To call one, answer {{"tool": its name, "arguments": {{…}}}}. Otherwise answer '
    '{{"answer": …}}.'
)


def turns_of(request: Request, *, offers_tools: bool) -> list[dict[str, str]]:
    """Return the turns of a conversation, of which no two that follow one another have one role.

    Calls of tools are written as the guided model writes them, and results as what the user says.
    """
    turns: list[dict[str, str]] = []
    if offers_tools:
        described = [each.function for each in request.tools or ()]
        tools = msgspec.json.encode(described).decode()
        turns.append({"role": "system", "content": _TOOLS.format(tools=tools)})
    for message in request.messages:
        role, text = _turn(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += f"\n\n{text}"
        else:
            turns.append({"role": role, "content": text})
    return turns


def _turn(message: Message) -> tuple[str, str]:
    match message:
        case System() | Developer():
            return "system", text_of(message.content)
        case User():
            return "user", text_of(message.content)
        case Result():
            return "user", f"Result of call {message.tool_call_id}:\n{text_of(message.content)}"
        case Assistant():
            calls = [_written(each.function.name, each.function.arguments)
                     for each in message.tool_calls or ()]  # fmt: skip
            said = text_of(message.content) or message.refusal or ""
            return "assistant", "\n".join([said, *calls] if said else calls)


def _written(name: str, arguments: str) -> str:
    return f'{{"tool": {msgspec.json.encode(name).decode()}, "arguments": {arguments}}}'
