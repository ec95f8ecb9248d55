"""Answers of the demo's LLM as the OpenAI API has them: whole, or as a stream of events."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

PIECE: Final = 4
"""Tokens in an event of a stream."""
_TOKEN: Final = re.compile(r"\s*(?:\w{1,8}|[^\w\s])|\s+")
_DEFAULTS: Final[dict[str, Any]] = {
    "string": "",
    "integer": 0,
    "number": 0,
    "boolean": False,
    "null": None,
    "array": [],
}


def tokens_of(text: str) -> list[str]:
    """Cut a text into what this server counts as tokens: words, or parts of them, and signs.

    >>> tokens_of("a text.")
    ['a', ' text', '.']
    """
    return _TOKEN.findall(text)


@dataclass(frozen=True)
class Completion:
    """One answer."""

    model: str
    text: str
    prompt_tokens: int
    most: int | None = None
    """The most tokens that it may have."""

    @property
    def pieces(self) -> list[str]:
        """The tokens of it, as many as it may have."""
        return tokens_of(self.text)[: self.most]

    @property
    def finish_reason(self) -> str:
        """`length` if it is cut off."""
        return "stop" if len(self.pieces) == len(tokens_of(self.text)) else "length"

    @property
    def usage(self) -> dict[str, int]:
        """What is counted."""
        count = len(self.pieces)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": count,
            "total_tokens": self.prompt_tokens + count,
        }

    @property
    def _head(self) -> dict[str, Any]:
        digest = hashlib.sha256(self.text.encode(errors="replace")).hexdigest()
        created = int(time.time())
        return {"id": f"chatcmpl-{digest[:24]}", "created": created, "model": self.model}

    def whole(self) -> dict[str, Any]:
        """Return the response that is not streamed."""
        message = {"role": "assistant", "content": "".join(self.pieces), "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [{**choice, "logprobs": None}],
            "usage": self.usage,
        }

    def events(self, *, with_usage: bool) -> Iterator[bytes]:
        """Yield the events of a stream, the one that ends it included."""
        head = {**self._head, "object": "chat.completion.chunk"}
        deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant"}, None)]
        pieces = self.pieces
        for start in range(0, len(pieces), PIECE):
            deltas.append(({"content": "".join(pieces[start : start + PIECE])}, None))
        deltas.append(({}, self.finish_reason))
        for delta, finish in deltas:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            usage = {"usage": None} if with_usage else {}
            yield _event({**head, "choices": [choice], **usage})
        if with_usage:
            yield _event({**head, "choices": [], "usage": self.usage})
        yield b"data: [DONE]\n\n"


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def fitted(value: Any, schema: Any) -> Any:
    """Return as much of a value as fits a JSON Schema, and what that requires besides.

    >>> fitted({"a": 1, "b": 2}, {"properties": {"a": {}, "c": {"type": "string"}}})
    {'a': 1, 'c': ''}
    """
    if not isinstance(schema, dict):
        return value
    if "properties" in schema:
        given = value if isinstance(value, dict) else {}
        return {
            name: fitted(given.get(name, _Missing), each)
            for name, each in schema["properties"].items()
        }
    if isinstance(value, list) and "items" in schema:
        return [fitted(each, schema["items"]) for each in value]
    return _default(schema) if value is _Missing else value


class _Missing:
    """Stands for what is not there."""


def _default(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    return _DEFAULTS.get(str(schema.get("type")), {})
