"""A model behind an endpoint, as a `TextModel`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from onecopy.errors import (
    ContextFull,
    EndOfSequence,
    InferenceFailed,
    InvalidArgument,
    OnecopyError,
    UnsupportedOperation,
)
from onecopy.nn.backends.openai.endpoint import finite
from onecopy.nn.backends.text.options import TextOptions, read

if TYPE_CHECKING:
    from onecopy.nn.backends.openai.backend import HostOptions
    from onecopy.nn.backends.openai.endpoint import Endpoint, Pieces

# What guests say, and what endpoints call it; what is not said is left to the endpoint.
_SENT = {
    "temp": "temperature",
    "top-p": "top_p",
    "presence-penalty": "presence_penalty",
    "frequency-penalty": "frequency_penalty",
    "seed": "seed",
}


class Piece(msgspec.Struct):
    """A part of a message."""

    content: str | None = None


class Choice(msgspec.Struct):
    """One of the answers; there is only one."""

    delta: Piece = msgspec.field(default_factory=Piece)
    text: str | None = None
    finish_reason: str | None = None


class Usage(msgspec.Struct):
    """How many tokens there were."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Event(msgspec.Struct):
    """What an endpoint sends of an answer."""

    choices: list[Choice] = []
    usage: Usage | None = None
    error: Any = None


class Vector(msgspec.Struct):
    """One embedding."""

    embedding: list[float]


class Vectors(msgspec.Struct):
    """What an endpoint answers to a request for embeddings."""

    data: list[Vector]


class OpenAiModel:
    """What all conversations with a model behind an endpoint share."""

    concurrent = True

    def __init__(self, endpoint: Endpoint, host: HostOptions, defaults: Mapping[str, Any]) -> None:
        self.endpoint = endpoint
        self._host = host
        self._defaults = dict(defaults)

    def session(self, options: Mapping[str, Any]) -> OpenAiSession:
        """Open a conversation, as `TextModel.session` says."""
        self.request("", options)
        return OpenAiSession(self, options)

    def request(self, prompt: str, *layers: Mapping[str, Any]) -> tuple[TextOptions, str, Any]:
        """Return the options, the path and the body of a request.

        Raises:
            InvalidArgument: see `text_options.read`.
            UnsupportedOperation: an option that endpoints have no word for.
        """
        options = read(self._defaults, *layers)
        if options.grammar or options.guide:
            raise UnsupportedOperation("endpoints take json-schema, but no grammar and no guide")
        body = self._body(options, {name for layer in (self._defaults, *layers) for name in layer})
        if self._host.api == "completions":
            return options, "completions", body | {"prompt": prompt}
        messages = [{"role": "user", "content": prompt}]
        if self._host.system:
            messages.insert(0, {"role": "system", "content": self._host.system})
        return options, "chat/completions", body | {"messages": messages}

    def _body(self, options: TextOptions, said: set[str]) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self._host.model, "stream": True}
        body["stream_options"] = {"include_usage": True}
        body |= self._host.extra
        for name in said & set(_SENT):
            body[_SENT[name]] = getattr(options, name.replace("-", "_"))
        if not options.seeded:
            body.pop("seed", None)
        if options.n_predict >= 0:
            body[self._host.max_tokens_name] = options.n_predict
        if options.reverse_prompt:
            body["stop"] = [options.reverse_prompt]
        if options.schema:
            body["response_format"] = _format(options.schema)
        return body

    def embed(self, text: bytes, options: Mapping[str, Any]) -> list[float]:
        """Return the embedding of a text, as the endpoint gives it."""
        read(self._defaults, options)
        body = {"model": self._host.model, "input": _decoded(text)}
        answer = self.endpoint.ask("embeddings", body)
        try:
            [found] = msgspec.json.decode(answer, type=Vectors).data
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            raise InferenceFailed(f"the endpoint's embedding cannot be read: {error}") from error
        return finite(found.embedding)

    def close(self) -> None:
        """Close all connections; twice is fine."""
        self.endpoint.close()


class OpenAiSession:
    """A `TextSession`; each piece is what the endpoint sends in one event, a token or more."""

    def __init__(self, model: OpenAiModel, options: Mapping[str, Any]) -> None:
        self._model = model
        self._graph_options = options
        self._options = TextOptions()
        self._events: Pieces | None = None
        self._ended: OnecopyError | None = InvalidArgument("there is no prompt; set input 0")
        self._finish = ""
        self._usage = Usage()
        self._pieces = 0

    def begin(self, prompt: bytes, options: Mapping[str, Any]) -> None:
        """Take a prompt, as `TextSession.begin` says; nothing is sent yet."""
        self.close()
        text = _decoded(prompt)
        self._options, path, body = self._model.request(text, self._graph_options, options)
        self._events = self._model.endpoint.stream(path, body)
        self._ended, self._finish = None, ""
        self._usage, self._pieces = Usage(), 0

    def advance(self) -> bytes:
        """Return the next piece, as `TextSession.advance` says."""
        if self._ended is None and self._pieces >= self._options.limit:
            self._end(EndOfSequence("n-predict: so many tokens were generated"))
        try:
            while self._ended is None:
                piece = self._next()
                if piece:
                    self._pieces += 1
                    return piece
        except OnecopyError as error:
            self._end(error)
        assert self._ended is not None
        raise self._ended

    def _next(self) -> bytes:
        assert self._events is not None
        data = next(self._events, None)
        if data is None:
            raise _reason(self._finish, self._options)
        try:
            event = msgspec.json.decode(data, type=Event)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InferenceFailed(f"the endpoint's stream cannot be read: {error}") from error
        if event.error is not None:
            raise InferenceFailed(f"the endpoint failed: {str(event.error)[:300]}")
        self._usage = event.usage or self._usage
        return b"".join(map(self._text, event.choices[:1]))

    def _text(self, choice: Choice) -> bytes:
        self._finish = choice.finish_reason or self._finish
        return (choice.delta.content or choice.text or "").encode(errors="replace")

    def metadata(self) -> dict[str, Any]:
        """Return the words of WasmEdge's plugin; endpoints say how many tokens there were last."""
        return {
            "input_tokens": self._usage.prompt_tokens,
            "output_tokens": self._usage.completion_tokens or self._pieces,
            "llama_build_number": 0,
            "llama_commit": "",
        }

    def _end(self, reason: OnecopyError) -> None:
        self.close()
        self._ended = reason

    def close(self) -> None:
        """End the connection of an answer that was not read to its end."""
        events, self._events = self._events, None
        if events is not None:
            events.close()
            self._ended = InvalidArgument("there is no prompt; set input 0")


def _reason(finish: str, options: TextOptions) -> OnecopyError:
    if finish == "length" and options.n_predict < 0:
        return ContextFull("the endpoint had no room for another token")
    if finish == "content_filter":
        return InferenceFailed("the endpoint withheld the rest of the text (content_filter)")
    if not finish:
        return InferenceFailed("the endpoint broke off within an answer")
    return EndOfSequence("the model ended its text")


def _format(schema: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(schema)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidArgument(f"json-schema is not JSON: {error}") from error
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": found}}


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"the prompt is not UTF-8: {error}") from error
