"""One conversation of a text model: what a connection computes there, a token at a time."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import msgspec

from onecopy.errors import (
    ContextFull,
    EndOfSequence,
    InvalidArgument,
    OnecopyError,
    PromptTooLong,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onecopy.nn.backends.backend import TextModel, TextSession

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
        self.text = bytearray()
        """What was generated since `begin`."""
        self.done = True
        self.ended: OnecopyError | None = None
        """Why it ended, if not because the text did."""

    def begin(self, prompt: bytes, options: bytes) -> None:
        """Start a new text; or compute an embedding, which is one at once.

        Of a prompt that is too long there is no text, but what may be asked about it.

        Raises:
            InvalidArgument: as the model says.
        """
        self.forget()
        given = options_of(options)
        merged = {**self._options, **given}
        try:
            self._session.begin(prompt, given)
            if merged.get(_EMBEDDING):
                self._embed(prompt, merged)
            else:
                self.done = False
        except PromptTooLong as error:
            self.ended = error

    def prepare(self, prompt: bytes, options: bytes) -> None:
        """Take a prompt for `metadata` to say how long it is, and compute nothing.

        Raises:
            InvalidArgument: as the model says.
        """
        self.forget()
        try:
            self._session.begin(prompt, options_of(options))
        except PromptTooLong:
            pass  # Who computes it is told.

    def _embed(self, prompt: bytes, options: Mapping[str, Any]) -> None:
        # Nine digits tell all numbers of single precision apart. Guests allow for some twenty
        # characters a number, and the digits of double precision would take more.
        single = array("f", self._model.embed(prompt, options))
        vector = [float(f"{each:.9g}") for each in single]
        self.text += msgspec.json.encode({"n_embedding": len(vector), "embedding": vector})

    def advance(self) -> bytes:
        """Generate one more token.

        Raises:
            EndOfSequence, ContextFull, PromptTooLong: there is none.
        """
        if self.ended is not None:
            raise self.ended
        if self.done:
            raise EndOfSequence("the text has ended; begin another")
        try:
            piece = self._session.advance()
        except Exception:
            self.done = True
            raise
        self.text += piece
        return piece

    def step(self) -> None:
        """Generate one more token of a text that is asked for as a whole; `done` says if it ended.

        Raises:
            InferenceFailed: the model failed.
        """
        try:
            self.advance()
        except EndOfSequence:
            pass
        except ContextFull as error:
            self.ended = error  # There is a text nevertheless.

    def metadata(self) -> bytes:
        """Return what may be asked about it, as JSON."""
        return msgspec.json.encode(dict(self._session.metadata()))

    def forget(self) -> None:
        """Have no text."""
        self.text.clear()
        self.done, self.ended = True, None

    def close(self) -> None:
        """Give back what the conversation holds."""
        self._session.close()
