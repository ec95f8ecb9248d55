"""Requests of guests: what is not known does not pass."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onecopy.agents.calls import INVALID, NOT_GRANTED, TOO_LARGE, Refused
from onecopy.agents.grants.llm.request import REQUEST_BYTES, parse

USER = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def parsed(**fields: Any):
    return parse(json.dumps({"messages": [USER], **fields}), ["small", "large"])


def code_of(**fields: Any) -> str:
    with pytest.raises(Refused) as caught:
        parsed(**fields)
    return caught.value.refusal.code


def test_what_is_sent_is_a_stream_of_one_answer_with_a_limit() -> None:
    request = parsed(temperature=0.5, max_tokens=10, n=1, stream=False, stop=["a"])
    assert request.limit == 10
    assert request.body(7, "max_completion_tokens") == {
        "model": "small",
        "messages": [USER],
        "temperature": 0.5,
        "stop": ["a"],
        "max_completion_tokens": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_whole_conversation_with_tools_passes_as_it_is() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "1", "tool_call_id": "1"},
        {"role": "assistant", "content": "2"},
    ]
    schema = {"name": "x", "schema": {"type": "object"}, "strict": True}
    fields = {
        "messages": messages,
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    body = parsed(**fields).body(1, "max_tokens")
    assert {key: body[key] for key in fields} == fields


def test_a_model_is_one_of_those_that_are_granted() -> None:
    assert parsed().model == "small"
    assert parsed(model="large").model == "large"
    with pytest.raises(Refused) as caught:
        parsed(model="huge")
    assert caught.value.refusal.code == NOT_GRANTED
    assert 'models = ["small","large","huge"]' in caught.value.refusal.message


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"max_tokens": 0},
        {"temperature": 3},
        {"logit_bias": {"1": 100}},
        {"web_search_options": {}},
        {"store": True},
        {"service_tier": "priority"},
        {"user": "x"},
        {"messages": []},
        {"messages": [{"role": "root", "content": "a"}]},
        {"messages": [{"role": "user", "content": "a", "audio": {}}]},
        {"messages": [{"role": "user", "content": None}]},
        {"tools": [{"type": "web_search"}]},
        {"tools": []},
        {"tool_choice": "always"},
        {"stop": ["a"] * 5},
        {"stream_options": {"a": "b"}},
    ],
)
def test_what_is_not_known_or_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    assert code_of(**fields) == INVALID


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file"])
def test_nothing_that_an_endpoint_would_fetch_passes(kind: str) -> None:
    part = {"type": kind, kind: {"url": "https://evil.example/?stolen"}}
    assert code_of(messages=[{"role": "user", "content": [part]}]) == INVALID


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(text, ["small"])
    assert caught.value.refusal.code == INVALID


def test_a_request_has_a_size() -> None:
    with pytest.raises(Refused) as caught:
        parse(" " * (REQUEST_BYTES + 1), ["small"])
    assert caught.value.refusal.code == TOO_LARGE


def test_an_estimate_is_rather_too_high_and_counts_tools_and_schemas() -> None:
    # 12 tokens for OpenAI's tokenizers.
    text = "The quick brown fox jumps over the lazy dog by the river."
    plain = parsed(messages=[{"role": "user", "content": text}]).estimate()
    assert 12 <= plain <= 40
    assert parsed(tools=[TOOL]).estimate() > parsed().estimate()
