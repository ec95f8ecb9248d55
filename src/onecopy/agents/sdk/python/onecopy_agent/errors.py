"""What the host answers when it does not do what was asked, as exceptions.

AgentError
├── NotGranted        the manifest has no grant for it; the text is the line that would grant it
├── Invalid           the call itself is wrong
├── BudgetExceeded    tokens, money, calls or a quota are used up
├── Timeout           no answer in time: what was asked for may have happened, or not
├── Unavailable       the other side cannot be reached, or not now
├── TooLarge          an answer or a value is longer than it may be
├── NotFound          there is nothing of that name
├── Failed            anything else that went wrong
└── Retry             raised by an agent: end this run, and try the event again later
"""

from __future__ import annotations


class AgentError(Exception):
    """The root of what the functions of `onecopy_agent` raise."""

    code = "failed"


class NotGranted(AgentError):
    """The manifest does not grant that; the text says which line would."""

    code = "not-granted"


class Invalid(AgentError):
    """The call is malformed."""

    code = "invalid"


class BudgetExceeded(AgentError):
    """A budget of the manifest, or of `plan.act`, is used up."""

    code = "budget"


class Timeout(AgentError):
    """There was no answer in time; an effect may have happened nevertheless."""

    code = "timeout"


class Unavailable(AgentError):
    """The other side cannot be reached, or answers only later."""

    code = "unavailable"


class TooLarge(AgentError):
    """An answer or a value has more bytes than it may."""

    code = "too-large"


class NotFound(AgentError):
    """There is nothing of that name."""

    code = "not-found"


class Failed(AgentError):
    """It went wrong in another way; the text says how."""


class Retry(AgentError):
    """Ends this run; the event comes again after `seconds`, with `attempt` one higher.

    raise Retry(60, "GitHub asks to wait")
    """

    code = "retry"

    def __init__(self, seconds: float, why: str = "asked to wait") -> None:
        super().__init__(why)
        self.seconds = seconds


class GiveUp(AgentError):
    """Ends this run, and the event: another attempt would fail as this one did.

    raise GiveUp("the token may not write comments")
    """

    code = "give-up"


_KINDS: dict[str, type[AgentError]] = {
    kind.code: kind
    for kind in (NotGranted, Invalid, BudgetExceeded, Timeout, Unavailable, TooLarge, NotFound)
}


def of(code: str, message: str) -> AgentError:
    """Return the exception for an error of the host."""
    return _KINDS.get(code, Failed)(message)
