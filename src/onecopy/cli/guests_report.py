"""What `guest test` prints: each call of a controller, and what is not as it should be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from onecopy.cli.guests_checks import holds
from onecopy.cli.guests_script import Line
from onecopy.cli.guests_session import Allowed, Failed, Refused, is_edit
from onecopy.cli.output import complain, hint, printable, stdout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onecopy.cli.guests_session import Seen, Session
    from onecopy.guests.decoding.vocabulary import Vocabulary

_SHOWN: Final = 8


class Report:
    """Runs a script, prints each call, and counts what is not as it should be."""

    def __init__(self, session: Session, script: str) -> None:
        self._session = session
        self._script = script
        self._calls = 0
        self._lines: list[tuple[int, str]] = []
        self._edits: list[Any] = []
        self.problems = 0

    def run(self, prompt: str, lines: list[Line]) -> None:
        """Open the sequence and go through the lines; stop when the guest has failed."""
        opening, *others = lines if lines and not lines[0].does_something else [Line(0), *lines]
        outcome = self._show_all(self._session.open(prompt))
        self._judge(opening, outcome)
        for line in others:
            if isinstance(outcome, Failed):
                break
            if line.does_something:
                outcome = self._show_all(self._session.feed(line))
            self._judge(line, outcome)

    def _show_all(self, calls: Iterator[Seen]) -> Any:
        outcome = None
        self._edits = []
        for seen in calls:
            if is_edit(seen.outcome):
                self._edits.append(seen.outcome)
            # The script goes on with the first branch of a fork.
            if not seen.branch:
                outcome = seen.outcome
            self._show(seen)
        return outcome

    def _show(self, seen: Seen) -> None:
        vocabulary = self._session.vocabulary
        fed = show_tokens(seen.fed, vocabulary)
        did = describe(seen.outcome, vocabulary)
        branch = f"branch {seen.branch}: " if seen.branch else ""
        stdout().print(f"{self._calls:4}  {seen.seconds * 1e3:7.3f} ms  {fed:12} {branch}{did}")
        self._calls += 1
        self._show_new_lines()

    def _show_new_lines(self) -> None:
        # The host keeps the last lines; those that were shown are known by their identity.
        lines = self._session.controller.logs
        for line in lines:
            if not any(line is shown for shown in self._lines):
                hint(f"      the guest says: {printable(line[1])}")
        self._lines = lines

    def _judge(self, line: Line, outcome: Any) -> None:
        where = f"{self._script}, line {line.number}" if line.number else "at the start"
        for check in line.checks:
            # Splices and forks have been carried out, and others came after them.
            if not any(holds(check, each, self._session) for each in (*self._edits, outcome)):
                self._complain(where, f"not so: {check}")
        expected = {check.word for check in line.checks}
        if isinstance(outcome, Refused) and "refused" not in expected:
            self._complain(where, "the step before does not allow this token")
        if isinstance(outcome, Failed) and "fails" not in expected:
            self._complain(where, str(outcome.error))

    def _complain(self, where: str, text: str) -> None:
        self.problems += 1
        complain(f"{where}: {text}")


def show_token(token: int, vocabulary: Vocabulary) -> str:
    """Write a token as its text in quotes, or as its number if it has none."""
    if token == vocabulary.eos:
        return "eos"
    data = vocabulary.token(token)
    try:
        return json.dumps(data.decode(), ensure_ascii=False) if data else f"#{token}"
    except UnicodeDecodeError:
        return repr(data)[1:]


def show_tokens(tokens: Sequence[int], vocabulary: Vocabulary) -> str:
    """Write tokens one after the other, and only say how many more there are."""
    shown = " ".join(show_token(each, vocabulary) for each in tokens[:_SHOWN])
    return f"{shown} … {len(tokens) - _SHOWN} more" if len(tokens) > _SHOWN else shown


def describe(outcome: Any, vocabulary: Vocabulary) -> str:
    """Write what a call led to, for people."""
    from onecopy.guests.decoding.outcome import Choose, Fork, Splice, Stop

    match outcome:
        case Allowed():
            return _describe_mask(outcome, vocabulary)
        case Splice():
            added = show_tokens(outcome.tokens, vocabulary) or "nothing"
            return f"splice: takes back {outcome.backtrack}, appends {added}"
        case Fork():
            return f"fork into {outcome.branches}"
        case Stop():
            return "stop"
        case Choose():
            return f"chooses {show_token(outcome.token, vocabulary)}"
        case Refused():
            return "refused: not allowed by the step before"
        case Failed():
            return f"fails: {outcome.error}"
    return "ready"


def _describe_mask(allowed: Allowed, vocabulary: Vocabulary) -> str:
    shown = [show_token(each, vocabulary) for each in allowed.first(_SHOWN)]
    more = f" … {allowed.count - _SHOWN} more" if allowed.count > _SHOWN else ""
    biases = f", {len(allowed.biases)} biases" if allowed.biases else ""
    what = f"allows {allowed.count} of {vocabulary.size}{biases}: "
    if allowed.count == vocabulary.size:
        return f"allows all{biases}"
    return what + " ".join(shown) + more
