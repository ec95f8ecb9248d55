"""Chat templates, which are programs of others."""

from __future__ import annotations

import json

import pytest

from onecopy.agents.calls import UNAVAILABLE, Refused
from onecopy.agents.grants.llm.template import ChatTemplate

TURNS = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi <|end|>"}]
CHATML = (
    "{%- for m in messages %}\n"
    "    {{- '<|start|>' + m.role + '\\n' + m.content + '<|end|>' + '\\n' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n    {{- '<|start|>assistant\\n' }}\n{%- endif %}\n"
)


def test_a_conversation_is_written_as_the_model_wants_it() -> None:
    turns = [TURNS[0], {"role": "user", "content": "Hi"}]
    assert ChatTemplate(CHATML).render(turns) == (
        "<|start|>system\nBe brief.<|end|>\n<|start|>user\nHi<|end|>\n<|start|>assistant\n"
    )


def test_special_tokens_of_a_text_are_none() -> None:
    found = ChatTemplate(CHATML, ["<|start|>", "<|end|>"]).render(TURNS)
    assert found.count("<|end|>") == 2
    assert "Hi <\u200b|end|>" in found


def test_templates_are_found_where_tokenizers_have_them() -> None:
    added = [{"content": "<|x|>", "special": True}, {"content": "y", "special": False}]
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>"}}
    files = {"tokenizer.json": memoryview(json.dumps({"added_tokens": added}).encode())}

    def render(**more: object) -> str:
        named = {**files, "tokenizer_config.json": json.dumps({**config, **more}).encode()}
        return ChatTemplate.of(named).render([{"role": "user", "content": "<|x|>y"}])

    text = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"
    assert render(chat_template=text) == "<s><\u200b|x|>y</s>"
    several = [{"name": "rag", "template": "no"}, {"name": "default", "template": text}]
    assert render(chat_template=several) == "<s><\u200b|x|>y</s>"
    assert render() == "user: <\u200b|x|>y\n\nassistant: "
    apart = {**files, "chat_template.jinja": b"apart"}
    assert ChatTemplate.of(apart).render(TURNS) == "apart"


def test_what_the_tokenizer_adds_by_itself_is_not_there_twice() -> None:
    source = "{{ bos_token }}{{ messages[0].content }}"
    config = {"bos_token": "<s>", "chat_template": source}
    for kind, expected in (("TemplateProcessing", "Hi"), ("ByteLevel", "<s>Hi")):
        single = [{"SpecialToken": {"id": "<s>"}}] if kind == "TemplateProcessing" else []
        tokenizer = {"post_processor": {"type": kind, "single": single}}
        files = {"tokenizer.json": tokenizer, "tokenizer_config.json": config}
        encoded = {name: json.dumps(value).encode() for name, value in files.items()}
        found = ChatTemplate.of(encoded).render([{"role": "user", "content": "Hi"}])
        assert found == expected


def test_one_that_takes_no_turn_of_the_system_gets_it_as_the_users() -> None:
    source = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{{ messages[0].content }}"
    )
    assert ChatTemplate(source).render([TURNS[0], {"role": "user", "content": "Hi"}]) == (
        "Be brief.\n\nHi"
    )


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('never') }}",
        "{{ messages[99].content.x }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ 1 / 0 }}",
        "{% for i in range(10 ** 9) %}{% endfor %}",
        "{% include 'x' %}",
    ],
)
def test_one_that_fails_or_reaches_out_is_a_refusal(source: str) -> None:
    with pytest.raises(Refused) as caught:
        ChatTemplate(source).render(TURNS)
    assert caught.value.refusal.code == UNAVAILABLE


def test_one_that_does_not_parse_is_a_refusal() -> None:
    with pytest.raises(Refused):
        ChatTemplate("{% if %}")


def test_json_is_not_written_as_html() -> None:
    assert ChatTemplate("{{ messages[0].content | tojson }}").render(
        [{"role": "user", "content": "<é>"}]
    ) == '"<é>"'  # fmt: skip
