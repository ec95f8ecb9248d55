"""Messages of a request as turns of a chat template."""

from __future__ import annotations

import json
from typing import Any

from onecopy.agents.grants.llm.conversation import turns_of
from onecopy.agents.grants.llm.request import parse

TOOL = {"type": "function", "function": {"name": "f", "description": "Does it."}}


def turns(*messages: dict[str, Any], tools: bool = False) -> list[tuple[str, str]]:
    request = parse(json.dumps({"messages": messages, "tools": [TOOL]}), ["m"])
    return [(each["role"], each["content"]) for each in turns_of(request, offers_tools=tools)]


def test_no_two_turns_in_a_row_have_one_role() -> None:
    found = turns(
        {"role": "system", "content": "a"},
        {"role": "developer", "content": "b"},
        {"role": "user", "content": "c"},
        {"role": "user", "content": [{"type": "text", "text": "d"}, {"type": "text", "text": "e"}]},
        {"role": "assistant", "content": "f"},
    )
    assert found == [("system", "a\n\nb"), ("user", "c\n\nd\ne"), ("assistant", "f")]


def test_calls_are_written_as_the_model_writes_them_and_results_as_the_users() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    found = turns(
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "I call f.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "42"},
    )
    assert found[1] == ("assistant", 'I call f.\n{"tool": "f", "arguments": {"a": 1}}')
    assert found[2] == ("user", "Result of call 1:\n42")


def test_tools_that_are_offered_are_described_first() -> None:
    (role, text), *_ = turns({"role": "user", "content": "c"}, tools=True)
    assert role == "system"
    assert '"name":"f"' in text
    assert '{"tool": its name, "arguments": {…}}' in text
