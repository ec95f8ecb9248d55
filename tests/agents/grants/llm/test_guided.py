"""What a local model is kept to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onecopy.agents.grants.llm.guided import read, schema_of
from onecopy.agents.grants.llm.request import Request, parse

DEEP = {
    "type": "object",
    "properties": {"a": {"$ref": "#/definitions/n"}, "b": {"items": {"$ref": "#/$defs/m"}}},
    "additionalProperties": {"$ref": "#"},
    "definitions": {"n": {"type": "null"}},
    "$defs": {"m": {"anyOf": [{"$ref": "#/$defs/m"}, {"type": "null"}]}},
}


def request(**fields: Any) -> Request:
    return parse(json.dumps({"messages": [{"role": "user", "content": "a"}], **fields}), ["m"])


def test_free_text_has_no_schema() -> None:
    assert schema_of(request()) is None
    assert schema_of(request(response_format={"type": "text"})) is None
    tool = {"type": "function", "function": {"name": "f"}}
    assert schema_of(request(tools=[tool], tool_choice="none")) is None


def test_schemas_of_tools_keep_what_they_refer_to() -> None:
    tools = [{"type": "function", "function": {"name": name, "parameters": DEEP}} for name in "fg"]
    schema = schema_of(request(tools=tools))
    assert schema is not None
    assert [list(each["properties"]) for each in schema["anyOf"]] == [
        ["tool", "arguments"],
        ["tool", "arguments"],
        ["answer"],
    ]
    names = set(schema["$defs"])
    assert names == {"t0", "t0.n", "t0.m", "t1", "t1.n", "t1.m", "answer"}
    assert schema["$defs"]["t1"]["properties"]["a"] == {"$ref": "#/$defs/t1.n"}
    assert schema["$defs"]["t1"]["additionalProperties"] == {"$ref": "#/$defs/t1"}
    assert schema["$defs"]["t0.m"]["anyOf"][0] == {"$ref": "#/$defs/t0.m"}


@pytest.mark.parametrize("answer", ["text", {"a": 1}, [1]])
def test_an_answer_without_a_tool_is_its_content(answer: Any) -> None:
    content, call = read(json.dumps({"answer": answer}))
    assert call is None
    assert (content if isinstance(answer, str) else json.loads(content)) == answer
