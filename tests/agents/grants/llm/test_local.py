"""A tiny model of a store answers chat completions; what has to be JSON always is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import onecopy
from onecopy import nn
from onecopy.agents.calls import INVALID, NOT_FOUND, TIMEOUT, TOO_LARGE, Refused
from onecopy.agents.grants.llm.budget import Spending, Usage
from onecopy.agents.grants.llm.llm import Llm
from onecopy.agents.grants.llm.local import LocalModel
from onecopy.agents.manifest.grants import LlmGrant
from tests.nn.service.ending import wait_until_ended

pytest.importorskip("transformers")

from tests.nn.backends.text.zoo import tokenizer

USER = {"role": "user", "content": "the quick"}
ADD = {
    "type": "object",
    "properties": {
        "a": {"$ref": "#/$defs/digit"},
        "b": {"enum": [1, 2]},
    },
    "required": ["a", "b"],
    "additionalProperties": False,
    "$defs": {"digit": {"enum": [7, 8, 9]}},
}
TOOLS = [
    {"type": "function", "function": {"name": "add", "description": "Add.", "parameters": ADD}},
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object",
     "properties": {}, "additionalProperties": False}}},
]  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("local")


@pytest.fixture(autouse=True)
def runtime(base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One runtime directory for all tests of this file, for they share the model's process."""
    monkeypatch.setenv("ONECOPY_RUNTIME_DIR", str(base))
    return base


@pytest.fixture(scope="module")
def model(base: Path):
    """A model with random weights, of 1024 positions."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=320, n_positions=1024, n_embd=32, n_layer=1, n_head=2,
        bos_token_id=0, eos_token_id=0, initializer_range=0.05,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONECOPY_RUNTIME_DIR", str(base))
        with onecopy.start("chats", capacity="64MiB") as store:
            store.save_module("tiny", GPT2LMHeadModel(config).eval())
            nn.save_tokenizer(store, "tiny", tokenizer())
            local = LocalModel(store, "tiny", idle_seconds=0)
            yield local
            local.close()
            wait_until_ended()


class Asked:
    def __init__(self, model: LocalModel, **fields: Any) -> None:
        self.usage: list[Usage] = []
        grant = LlmGrant(model="store:tiny", **fields)
        self.llm = Llm(grant, model, Spending(), self.usage.append)

    def chat(self, **fields: Any) -> dict[str, Any]:
        request = json.dumps({"messages": [USER], "seed": 1, **fields})
        return json.loads(asyncio.run(self.llm.call("chat", [request])))

    def choice(self, **fields: Any) -> dict[str, Any]:
        return self.chat(**fields)["choices"][0]

    def refusal(self, **fields: Any) -> str:
        with pytest.raises(Refused) as caught:
            self.chat(**fields)
        return caught.value.refusal.code


def test_it_answers_and_says_what_it_has_used(model: LocalModel) -> None:
    asked = Asked(model)
    answer = asked.chat(max_tokens=12)
    assert answer["model"] == "tiny"
    assert answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["finish_reason"] == "length"
    used = answer["usage"]
    assert used["completion_tokens"] == 12
    assert "estimated" not in used
    assert asked.usage == [Usage("tiny", used["prompt_tokens"], 12, 0.0, False)]
    assert asked.chat(max_tokens=12)["choices"] == answer["choices"]  # the seed is the same


def test_an_answer_ends_where_it_is_told_to(model: LocalModel) -> None:
    asked = Asked(model)
    text = asked.choice(max_tokens=12)["message"]["content"]
    choice = asked.choice(max_tokens=12, stop=["never", text[3:6]])
    assert choice["message"]["content"] == text[: text.find(text[3:6])]
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize("seed", range(4))
def test_every_call_of_a_tool_parses(model: LocalModel, seed: int) -> None:
    choice = Asked(model).choice(tools=TOOLS, tool_choice="required", seed=seed, max_tokens=60)
    assert choice["finish_reason"] == "tool_calls"
    (call,) = choice["message"]["tool_calls"]
    arguments = json.loads(call["function"]["arguments"])
    if call["function"]["name"] == "add":
        assert arguments["a"] in (7, 8, 9)
        assert arguments["b"] in (1, 2)
    else:
        assert (call["function"]["name"], arguments) == ("now", {})


def test_the_tool_that_is_wanted_is_called(model: LocalModel) -> None:
    chosen = {"type": "function", "function": {"name": "add"}}
    choice = Asked(model).choice(tools=TOOLS, tool_choice=chosen, max_tokens=60)
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "add"
    other = {"type": "function", "function": {"name": "other"}}
    assert Asked(model).refusal(tools=TOOLS, tool_choice=other) == INVALID


def test_an_answer_may_be_one_without_a_tool(model: LocalModel) -> None:
    short = {"enum": ["yes", "no"]}
    named = {"type": "json_schema", "json_schema": {"name": "x", "schema": short}}
    asked = Asked(model)
    contents = set()
    for seed in range(12):
        message = asked.choice(
            tools=TOOLS[1:], response_format=named, seed=seed, max_tokens=60
        )["message"]  # fmt: skip
        contents.add(message["content"])
        assert ("tool_calls" in message) == (message["content"] is None)
    assert contents <= {"yes", "no", None}
    assert len(contents) > 1


def test_an_answer_fits_its_schema(model: LocalModel) -> None:
    named = {"type": "json_schema", "json_schema": {"name": "x", "schema": ADD}}
    answer = json.loads(Asked(model).choice(response_format=named)["message"]["content"])
    assert answer["a"] in (7, 8, 9)


def test_what_was_cut_off_is_refused_where_it_has_to_be_json(model: LocalModel) -> None:
    asked = Asked(model)
    assert asked.refusal(tools=TOOLS, tool_choice="required", max_tokens=3) == TOO_LARGE
    assert asked.usage[0].output_tokens == 3


def test_a_conversation_with_calls_goes_on(model: LocalModel) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        USER,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "12:00", "tool_call_id": "1"},
    ]
    assert Asked(model).choice(messages=messages, max_tokens=4)["message"]["content"]


def test_what_does_not_fit_is_refused(model: LocalModel) -> None:
    asked = Asked(model)
    long = [{"role": "user", "content": "the quick " * 1200}]
    assert asked.refusal(messages=long) == TOO_LARGE
    broken = {"name": "x", "schema": {"type": "nothing"}}
    assert asked.refusal(response_format={"type": "json_schema", "json_schema": broken}) == INVALID
    assert Asked(model, tokens=5).refusal() == "budget"


def test_an_answer_that_takes_too_long_is_ended_and_counted(model: LocalModel) -> None:
    asked = Asked(model, timeout=0.5)
    long = {"type": "string", "minLength": 100_000}
    named = {"type": "json_schema", "json_schema": {"name": "x", "schema": long}}
    text = [{"role": "user", "content": "the quick " * 60}]
    assert asked.refusal(messages=text, response_format=named) in (TIMEOUT, TOO_LARGE)
    assert all(used.input_tokens > 60 for used in asked.usage)


def test_a_model_that_is_not_there_is_a_refusal() -> None:
    with onecopy.start("empty", capacity="16MiB") as store:
        local = LocalModel(store, "missing", idle_seconds=0)
        assert Asked(local).refusal() == NOT_FOUND
        local.close()
