"""A trial of an agent: an event in a file, what is answered to it, and what is expected of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from onecopy.agents.canned import Canned, Page, Said
from onecopy.agents.outcome import OK
from onecopy.errors import InvalidEvent

if TYPE_CHECKING:
    from onecopy.agents.outcome import Outcome


class Trial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file `events/NAME.json` of an agent says.

    Example:
        >>> Trial(payload={"person": "Ada"}, expect={"answer": "Hello, Ada!"}).kind
        ''
    """

    payload: Any
    kind: str = ""
    """If the manifest has several."""
    http: dict[str, Page] = {}
    """Answers by method and URL."""
    llm: list[Said] = []
    """Answers of the model, in order: texts and calls of tools."""
    expect: Any = msgspec.UNSET
    """The answer; of an object those keys that matter."""
    fails: str = ""
    """A part of the error's text, if the run has to fail."""

    @classmethod
    def load(cls, path: Path) -> Trial:
        """Read a file.

        Raises:
            InvalidEvent: it is no trial; the text says what is wrong.
        """
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except msgspec.DecodeError as error:
            raise InvalidEvent(f"{path}: {error}") from None

    def client(self) -> Canned:
        """Return what answers the agent's requests."""
        return Canned(self.http, self.llm)

    def complaint(self, outcome: Outcome) -> str:
        """Return what is not as expected; empty if all is."""
        if self.fails:
            failed = outcome.status != OK and self.fails in outcome.text
            return "" if failed else f"it was to fail with {self.fails!r}; {_said(outcome)}"
        if outcome.status != OK:
            return _said(outcome)
        if self.expect is msgspec.UNSET or _fits(self.expect, _read(outcome.text)):
            return ""
        expected = msgspec.json.encode(self.expect).decode()
        return f"expected {expected}; {_said(outcome)}"


def _said(outcome: Outcome) -> str:
    if outcome.status == OK:
        return f"it answered {outcome.text}"
    return f"it failed: {outcome.said.message}"


def _read(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:  # a component in another language may answer any text
        return text


def _fits(expected: Any, answer: Any) -> bool:
    if isinstance(expected, dict) and isinstance(answer, dict):
        return all(key in answer and _fits(each, answer[key]) for key, each in expected.items())
    return bool(expected == answer)
