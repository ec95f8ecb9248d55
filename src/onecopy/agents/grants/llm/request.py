"""A chat completion's request as guests may send it: what is not here does not pass.

The fields are those of the OpenAI API (https://platform.openai.com/docs/api-reference/chat). Of a
message's parts there are texts only: an endpoint would fetch the addresses of images, and so
take what a guest knows to whoever it likes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from onecopy.agents.calls import INVALID, NOT_GRANTED, TOO_LARGE, Refused

REQUEST_BYTES: Final = 8 << 20
_BYTES_PER_TOKEN: Final = 3
"""Fewer than English text and most code have: an estimate is rather too high."""

_Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_Count = Annotated[int, msgspec.Meta(ge=1)]
_Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The base of all that a request is made of."""


class Text(_Part, frozen=True, tag_field="type", tag="text"):
    """A part of a message."""

    text: str


Content = str | list[Text]


class Function(_Part, frozen=True):
    """What a model has called, with arguments as JSON."""

    name: _Name
    arguments: str


class ToolCall(_Part, frozen=True):
    """One call of an earlier answer."""

    id: str
    function: Function
    type: Literal["function"]


class System(_Part, frozen=True, tag_field="role", tag="system"):
    """What the model is to be."""

    content: Content
    name: _Name | None = None


class Developer(_Part, frozen=True, tag_field="role", tag="developer"):
    """The same, for newer models."""

    content: Content
    name: _Name | None = None


class User(_Part, frozen=True, tag_field="role", tag="user"):
    """What is asked."""

    content: Content
    name: _Name | None = None


class Assistant(_Part, frozen=True, tag_field="role", tag="assistant"):
    """An earlier answer."""

    content: Content | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    name: _Name | None = None


class Result(_Part, frozen=True, tag_field="role", tag="tool"):
    """What a tool has returned."""

    content: Content
    tool_call_id: str


Message = System | Developer | User | Assistant | Result


class Described(_Part, frozen=True):
    """A function that the model may call."""

    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Offered(_Part, frozen=True):
    """One of the tools."""

    function: Described
    type: Literal["function"]


class Called(_Part, frozen=True):
    """The name of a function that has to be called."""

    name: _Name


class Chosen(_Part, frozen=True):
    """The tool that has to be called."""

    function: Called
    type: Literal["function"]


class Named(_Part, frozen=True):
    """A schema that the answer has to fit."""

    name: _Name
    schema: dict[str, Any] = {}
    description: str | None = None
    strict: bool | None = None


class AsText(_Part, frozen=True, tag_field="type", tag="text"):
    """Any answer."""


class AsObject(_Part, frozen=True, tag_field="type", tag="json_object"):
    """An answer that is a JSON object."""


class AsSchema(_Part, frozen=True, tag_field="type", tag="json_schema"):
    """An answer that is JSON of a schema."""

    json_schema: Named


class Request(_Part, frozen=True):
    """A chat completion's request; `stream` and its options are taken, and say nothing."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=1, max_length=4096)]
    model: str = ""
    """The first of the grant's models if empty."""
    max_tokens: _Count | None = None
    max_completion_tokens: _Count | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    stop: str | Annotated[list[str], msgspec.Meta(max_length=4)] | None = None
    seed: int | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    response_format: AsText | AsObject | AsSchema | None = None
    tools: Annotated[list[Offered], msgspec.Meta(min_length=1, max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | Chosen | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | None = None
    n: Literal[1] | None = None
    stream: bool | None = None
    stream_options: dict[str, bool] | None = None

    @property
    def limit(self) -> int | None:
        """The most tokens that the guest wants for the answer."""
        given = [n for n in (self.max_tokens, self.max_completion_tokens) if n is not None]
        return min(given, default=None)

    @property
    def stops(self) -> list[str]:
        """The texts that end an answer."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())

    def estimate(self) -> int:
        """Return about how many tokens the prompt has, rather too many."""
        parts = (self.messages, self.tools, self.response_format)
        return tokens_of(sum(len(msgspec.json.encode(each)) for each in parts if each is not None))

    def body(self, most: int, limit_name: str) -> dict[str, Any]:
        """Return what is sent: a stream of one answer of at most so many tokens."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        for name in ("n", "max_tokens", "max_completion_tokens"):
            found.pop(name, None)
        options = {"include_usage": True}
        return {**found, limit_name: most, "stream": True, "stream_options": options}


def tokens_of(nbytes: int) -> int:
    """Return about how many tokens so many bytes of text are, rather too many."""
    return -(-nbytes // _BYTES_PER_TOKEN)


def text_of(content: Content | None) -> str:
    """Return a message's text, whatever its parts."""
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(part.text for part in content)


_decoder: Final = msgspec.json.Decoder(Request)


def parse(text: str, models: Sequence[str]) -> Request:
    """Return a guest's request, with a model.

    Args:
        text: JSON.
        models: those that are granted; the first is asked if the request names none.

    Raises:
        Refused: `invalid`, with the field; `not-granted` for another model; `too-large`.
    """
    if len(text.encode()) > REQUEST_BYTES:
        raise Refused(TOO_LARGE, f"the request has more than {REQUEST_BYTES} bytes; shorten it")
    try:
        request = _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(INVALID, f"the request: {error}") from None
    if not request.model:
        return msgspec.structs.replace(request, model=models[0])
    if request.model not in models:
        listed = msgspec.json.encode([*models, request.model]).decode()
        raise Refused(
            NOT_GRANTED,
            f"the model {request.model!r} is not granted; add to agent.toml: [grants.llm] "
            f"models = {listed}",
        )
    return request
