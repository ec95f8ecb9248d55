"""How an event becomes a call of the agent's `handle`, and its end the run's."""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from onecopy_agent import errors, log

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    Handler = Callable[["Event"], Any]
    H = TypeVar("H", bound=Handler)


@dataclass(frozen=True)
class Event:
    """What an agent is called with."""

    id: str = ""
    agent: str = ""
    trigger: str = "cli"
    kind: str = ""
    subject: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    """What the manifest takes out of the payload; paths of grants are bound to them."""
    payload: Any = None
    settings: dict[str, Any] = field(default_factory=dict)
    attempt: int = 1
    received: float = 0.0

    @classmethod
    def of(cls, given: dict[str, Any]) -> Event:
        """Make an event of its JSON; keys that this SDK does not know are left out."""
        known = {each.name for each in fields(cls)}
        return cls(**{key: value for key, value in given.items() if key in known})


class Ended(Exception):
    """A run that ends with an error: the text is what `handle` of the component returns as one."""


def agent(function: H) -> H:
    """Mark the function that handles events, where it is not called `handle`."""
    function.__onecopy_agent__ = True  # type: ignore[attr-defined]
    return function


def handler(module: ModuleType) -> Handler:
    """Return the function of a module that handles events."""
    marked = [each for each in vars(module).values() if hasattr(each, "__onecopy_agent__")]
    found = marked or [each for each in [getattr(module, "handle", None)] if callable(each)]
    if len(found) != 1:
        raise TypeError(
            f"{module.__name__} needs one function `handle(event)`, or one that is marked @agent; "
            f"there are {len(found)}"
        )
    return found[0]  # type: ignore[no-any-return]


def run(handle: Handler, text: str) -> str:
    """Call an agent with an event as JSON; return its answer as JSON.

    Raises:
        Ended: it failed. The text is JSON: `message`, `kind`; `retry_after`, in seconds, where it
            asks for that; `retry`, false, where the event is not to be tried again.
    """
    try:
        return json.dumps(handle(Event.of(json.loads(text))))
    except errors.Retry as error:
        raise _ended(error, retry_after=error.seconds) from None
    except errors.GiveUp as error:
        raise _ended(error, retry=False) from None
    except Exception as error:
        log.error(traceback.format_exc())
        raise _ended(error) from None


def _ended(error: Exception, **more: Any) -> Ended:
    kind = type(error).__name__
    return Ended(json.dumps({"message": str(error) or kind, "kind": kind, **more}))
