"""Chat templates: how a text model of the store wants a conversation written.

A template is a program of whoever made the model: it runs in Jinja's sandbox. Names in it are those
that transformers gives (https://huggingface.co/docs/transformers/chat_templating).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from onecopy.agents.calls import UNAVAILABLE, Refused

_CONFIG: Final = "tokenizer_config.json"
_FILE: Final = "chat_template.jinja"
_TOKENS: Final = "tokenizer.json"
_BREAK: Final = "\u200b"
_PLAIN: Final = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n\n{% endfor %}"
    "assistant: "
)
"""For a model that has none."""

Turns = Sequence[Mapping[str, str]]


class ChatTemplate:
    """What turns a conversation into a prompt.

    >>> ChatTemplate("").render([{"role": "user", "content": "Hello"}])
    'user: Hello\\n\\nassistant: '

    Args:
        source: in Jinja's language; a plain one if empty.
        special: tokens that mean something to the model, by their texts.
        names: what the template may name beside, such as `bos_token`.
        begins: what the tokenizer puts in front of each prompt by itself.
    """

    def __init__(
        self,
        source: str,
        special: Sequence[str] = (),
        names: Mapping[str, str] | None = None,
        begins: str = "",
    ) -> None:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _as_json
        environment.globals["raise_exception"] = _give_up
        self._special = [each for each in special if len(each) > 1]
        self._names = dict(names or {})
        self._begins = begins
        self._fails = (TemplateError, TypeError, ValueError, ArithmeticError, RecursionError)
        try:
            self._template = environment.from_string(source or _PLAIN)
        except self._fails as error:
            raise Refused(UNAVAILABLE, f"the model's chat template fails: {error}") from error

    @classmethod
    def of(cls, files: Mapping[str, Any]) -> ChatTemplate:
        """Return the one among a tokenizer's files, as `nn.save_tokenizer` keeps them."""
        config = _json(files, _CONFIG)
        source = bytes(files[_FILE]).decode() if _FILE in files else config.get("chat_template")
        if isinstance(source, list):  # several by name
            named = {each.get("name"): each.get("template") for each in source}
            source = named.get("default")
        tokenizer = _json(files, _TOKENS)
        added = tokenizer.get("added_tokens") or []
        special = [each["content"] for each in added if each.get("special")]
        names = {f"{kind}_token": _text(config.get(f"{kind}_token")) for kind in ("bos", "eos")}
        # It is there if the tokenizer adds it when it has encoded a text.
        adds = names["bos_token"] in _strings(tokenizer.get("post_processor"))
        return cls(source or "", special, names, names["bos_token"] if adds else "")

    def render(self, turns: Turns) -> str:
        """Return the prompt of a conversation, up to where the answer begins.

        Raises:
            Refused: `unavailable`: the template fails.
        """
        safe = [{**each, "content": self._defused(each["content"])} for each in turns]
        try:
            return self._rendered(safe)
        except self._fails as error:
            first = error
        try:  # Some take no turn of the system.
            return self._rendered(_without_system(safe))
        except self._fails:
            text = f"the model's chat template fails: {first}"[:300]
            raise Refused(UNAVAILABLE, text) from first

    def _rendered(self, turns: Turns) -> str:
        text = self._template.render(messages=turns, add_generation_prompt=True, **self._names)
        return text.removeprefix(self._begins)

    def _defused(self, text: str) -> str:
        """Return a text in which no special token is one: a diff may not end a turn."""
        for token in self._special:
            text = text.replace(token, token[0] + _BREAK + token[1:])
        return text


def _without_system(turns: Turns) -> Turns:
    system = [each["content"] for each in turns if each["role"] == "system"]
    others = [dict(each) for each in turns if each["role"] != "system"]
    if system and others:
        others[0]["content"] = "\n\n".join([*system, others[0]["content"]])
    return others


def _json(files: Mapping[str, Any], name: str) -> dict[str, Any]:
    return dict(json.loads(bytes(files[name]))) if name in files else {}


def _strings(value: Any) -> set[str]:
    """Return all strings and keys within a JSON value."""
    if isinstance(value, dict):
        return set(value).union(*map(_strings, value.values()))
    if isinstance(value, list):
        return set().union(*map(_strings, value))
    return {value} if isinstance(value, str) else set()


def _text(token: Any) -> str:
    """The text of a token, which may be described by an object."""
    return str(token.get("content", "")) if isinstance(token, dict) else token or ""


def _as_json(value: Any, indent: int | None = None) -> str:
    # Jinja's own writes HTML's entities.
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _give_up(message: str) -> None:
    from jinja2 import TemplateError

    raise TemplateError(message)
