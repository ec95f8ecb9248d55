"""An answer put together from the pieces of its stream."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

import msgspec

from onecopy.agents.calls import TOO_LARGE, UNAVAILABLE, Refused
from onecopy.agents.grants.llm.request import tokens_of

ANSWER_BYTES: Final = 4 << 20
CALLS: Final = 128

_Tokens = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]


class FunctionDelta(msgspec.Struct):
    """More of a call's name or arguments."""

    name: str | None = None
    arguments: str | None = None


class CallDelta(msgspec.Struct):
    """More of one call."""

    index: int = 0
    id: str | None = None
    function: FunctionDelta | None = None


class Delta(msgspec.Struct):
    """More of an answer."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    """What some endpoints send of a model's thoughts: paid for, and not handed on."""
    tool_calls: list[CallDelta] | None = None


class Choice(msgspec.Struct):
    """One of the answers; only the first is asked for."""

    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None


class Counted(msgspec.Struct):
    """What the endpoint says that it has counted."""

    prompt_tokens: _Tokens
    completion_tokens: _Tokens


class Chunk(msgspec.Struct):
    """The data of one event."""

    choices: list[Choice] = []
    usage: Counted | None = None
    id: str | None = None
    error: Any = None


_decoder: Final = msgspec.json.Decoder(Chunk)


class Answer:
    """What a model has answered so far.

    Args:
        model: whom the request asks.
    """

    def __init__(self, model: str) -> None:
        self.accepted = False
        """Whether the model has begun to read the prompt: it is paid for."""
        self.finish_reason: str | None = None
        self.counted: Counted | None = None
        self._model = model
        self._id = ""
        self._parts: dict[str, list[str]] = {"content": [], "refusal": []}
        self._calls: dict[int, dict[str, str]] = {}
        self._nbytes = 0

    @property
    def started(self) -> bool:
        """Whether anything of the answer has come."""
        return self._nbytes > 0 or bool(self._calls)

    def add(self, data: bytes) -> None:
        """Take the data of one event.

        Raises:
            Refused: `unavailable` if it is no piece of an answer, or an error; `too-large`.
        """
        try:
            chunk = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refused(UNAVAILABLE, f"the endpoint sent what is no answer: {error}") from None
        if chunk.error:
            raise Refused(UNAVAILABLE, f"the endpoint broke off: {said(chunk.error)[:300]}")
        self._id = self._id or chunk.id or ""
        self.counted = chunk.usage or self.counted
        for choice in chunk.choices:
            if choice.index == 0:
                self._add(choice.delta or Delta())
                self.finish_reason = choice.finish_reason or self.finish_reason

    def _add(self, delta: Delta) -> None:
        self.add_text("content", delta.content)
        self.add_text("refusal", delta.refusal)
        self._grow(delta.reasoning_content)
        for call in delta.tool_calls or ():
            self._add_call(call)

    def add_text(self, name: str, text: str | None) -> None:
        """Add to the `content` or the `refusal`."""
        if text:
            self._grow(text)
            self._parts[name].append(text)

    def add_call(self, index: int, name: str, arguments: str) -> None:
        """Add a whole call of a tool."""
        self._add_call(CallDelta(index, None, FunctionDelta(name, arguments)))

    def _add_call(self, delta: CallDelta) -> None:
        if not 0 <= delta.index < CALLS:
            raise Refused(TOO_LARGE, f"the answer has more than {CALLS} calls of tools")
        call = self._calls.setdefault(delta.index, {"id": "", "name": "", "arguments": ""})
        function = delta.function or FunctionDelta()
        call["id"] = call["id"] or delta.id or ""
        for name, text in (("name", function.name), ("arguments", function.arguments)):
            self._grow(text)
            call[name] += text or ""

    def _grow(self, text: str | None) -> None:
        self._nbytes += len((text or "").encode(errors="replace"))
        if self._nbytes > ANSWER_BYTES:
            raise Refused(
                TOO_LARGE, f"the answer has more than {ANSWER_BYTES} bytes; lower max_tokens"
            )

    def tokens(self, prompt: int) -> tuple[int, int, bool]:
        """Return tokens of the prompt and of the answer, and whether they are estimates.

        Args:
            prompt: an estimate, for an endpoint that does not say.
        """
        if self.counted is not None:
            return self.counted.prompt_tokens, self.counted.completion_tokens, False
        return prompt if self.accepted else 0, tokens_of(self._nbytes), True

    def response(self, prompt: int) -> dict[str, Any]:
        """Return it as a chat completion that was not streamed.

        Raises:
            Refused: `unavailable`, for it is empty.
        """
        choice = {"index": 0, "message": self._message(), "finish_reason": self.finish_reason}
        return {
            "id": self._id,
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self._model,
            "choices": [choice],
            "usage": self._usage(prompt),
        }

    def _message(self) -> dict[str, Any]:
        message = {name: "".join(parts) or None for name, parts in self._parts.items()}
        calls = [_call(index, call) for index, call in sorted(self._calls.items())]
        if not calls and not any(message.values()):
            raise Refused(
                UNAVAILABLE,
                f"the answer is empty (finish_reason {self.finish_reason!r}): ask again, with more "
                "max_tokens if it was 'length'",
            )
        return {"role": "assistant", **message, **({"tool_calls": calls} if calls else {})}

    def _usage(self, prompt: int) -> dict[str, Any]:
        asked, answered, estimated = self.tokens(prompt)
        usage = {
            "prompt_tokens": asked,
            "completion_tokens": answered,
            "total_tokens": asked + answered,
        }
        return {**usage, "estimated": True} if estimated else usage


def _call(index: int, call: dict[str, str]) -> dict[str, Any]:
    if not call["name"]:
        raise Refused(UNAVAILABLE, "the answer calls a tool that has no name; ask again")
    function = {"name": call["name"], "arguments": call["arguments"]}
    return {"id": call["id"] or f"call_{index}", "type": "function", "function": function}


def said(error: Any) -> str:
    """Return the text of an error of the API, or all of what is none."""
    if isinstance(error, str):
        return error
    parts = [error.get("code"), error.get("message")] if isinstance(error, dict) else []
    text = " ".join(str(part) for part in parts if part)
    return text or msgspec.json.encode(error).decode()
