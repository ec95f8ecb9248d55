"""One conversation of a text model: what a connection computes there, a token at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from onecopy.errors import ContextFull, EndOfSequence, InvalidArgument, OnecopyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onecopy.nn.backends.backend import TextModel, TextSession

_PREDICT = "n-predict"
_EMBEDDING = "embedding"


def options_of(text: str | bytes) -> dict[str, Any]:
    """Parse options as guests give them: a JSON object, or nothing.

    Raises:
        InvalidArgument: it is something else.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, Any]) if text else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"options have to be a JSON object: {error}") from None


class Generation:
    """A text that grows; the options are those of the graph."""

    def __init__(self, model: TextModel, options: Mapping[str, Any]) -> None:
        self._model = model
        self._options = options
        self._session: TextSession = model.session(options)
        self._left: int | None = None
        self._metadata: Mapping[str, Any] = {}
        self.text = bytearray()
        """What was generated since `begin`."""
        self.done = True
        self.ended: OnecopyError | None = None
        """Why it ended, if not because the text did."""

    def begin(self, prompt: bytes, options: bytes) -> None:
        """Start a new text; or compute an embedding, which is one at once.

        Raises:
            InvalidArgument, PromptTooLong: as the model says.
        """
        merged = {**self._options, **options_of(options)}
        self.text.clear()
        self.ended = None
        self._metadata = {}
        self._left = _limit(merged)
        self.done = self._left == 0
        if merged.get(_EMBEDDING):
            self._embed(prompt, merged)
        else:
            self._session.begin(prompt, merged)

    def _embed(self, prompt: bytes, options: Mapping[str, Any]) -> None:
        vector = [float(each) for each in self._model.embed(prompt, options)]
        self.text += msgspec.json.encode({"n_embedding": len(vector), "embedding": vector})
        self.done = True
        self._metadata = {"input_tokens": 0, "output_tokens": 0}

    def advance(self) -> bytes:
        """Generate one more token; after that, `done` says whether it was the last.

        Raises:
            EndOfSequence, ContextFull: there is none.
        """
        try:
            piece = self._session.advance()
        except OnecopyError as error:
            self.done = True
            self.ended = None if isinstance(error, EndOfSequence) else error
            raise
        self.text += piece
        if self._left is not None:
            self._left -= 1
            self.done = self._left == 0
        return piece

    def step(self) -> None:
        """Generate one more token of a text that is asked for as a whole."""
        try:
            self.advance()
        except (EndOfSequence, ContextFull):
            pass  # `done`, and `ended`, say so.

    def metadata(self) -> bytes:
        """Return what may be asked about it, as JSON."""
        return msgspec.json.encode(dict(self._metadata or self._session.metadata()))


def _limit(options: Mapping[str, Any]) -> int | None:
    limit = options.get(_PREDICT)
    if limit is None:
        return None
    if not isinstance(limit, int):
        raise InvalidArgument(f"{_PREDICT} is a number of tokens, not {limit!r}")
    return limit if limit >= 0 else None
