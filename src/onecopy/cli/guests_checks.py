"""Compares what a controller did with what a script expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onecopy.cli.guests_session import Allowed, Failed, Refused

if TYPE_CHECKING:
    from onecopy.cli.guests_script import Check
    from onecopy.cli.guests_session import Session


def holds(check: Check, outcome: Any, session: Session) -> bool:
    """Say whether a check is true of the last outcome.

    A text of several tokens stands for its first one where one token is meant: that is what would
    come next.
    """
    if isinstance(outcome, Allowed):
        return _holds_of_mask(check.word, check, outcome, session)
    if isinstance(outcome, Failed):
        return check.word == "fails"
    if isinstance(outcome, Refused):
        return check.word == "refused"
    return _holds_of_others(check, outcome, session)


def _holds_of_others(check: Check, outcome: Any, session: Session) -> bool:
    from onecopy.guests.decoding.outcome import Choose, Fork, Splice, Stop

    match check.word, outcome:
        case "stop", Stop():
            return True
        case "fork", Fork():
            return bool(outcome.branches == check.pieces[0])
        case "backtrack", Splice():
            return bool(outcome.backtrack == check.pieces[0])
        case "splice", Splice():
            return list(outcome.tokens) == session.tokens(check.pieces)
        case "chooses", Choose():
            return session.tokens(check.pieces)[:1] == [outcome.token]
    return False


def _holds_of_mask(word: str, check: Check, allowed: Allowed, session: Session) -> bool:
    match word:
        case "all":
            return allowed.count == session.vocabulary.size
        case "count":
            return allowed.count == check.pieces[0]
        case "bias":
            (token,) = session.tokens(check.pieces[:1])[:1]
            return allowed.biases.get(token) == check.pieces[1]
    tokens = {session.tokens([piece])[0] for piece in check.pieces}
    match word:
        case "allows":
            return all(token in allowed for token in tokens)
        case "forbids":
            return not any(token in allowed for token in tokens)
        case "only":
            return set(allowed.first(len(tokens) + 1)) == tokens
    return False
