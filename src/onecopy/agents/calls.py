"""What passes between an agent and its host: calls of the interfaces in wit/agent.wit.

The worker turns each call of the guest into a `Call`, the server answers with a `Reply`, and a run
record is a list of both. Values are JSON values: WIT records are objects, options are null or the
value, tuples are lists, `result<_, error>` is a `Reply` with `error` set or not.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import msgspec

NOT_GRANTED: Final = "not-granted"
INVALID: Final = "invalid"
BUDGET: Final = "budget"
TIMEOUT: Final = "timeout"
UNAVAILABLE: Final = "unavailable"
TOO_LARGE: Final = "too-large"
NOT_FOUND: Final = "not-found"
FAILED: Final = "failed"


class Call(msgspec.Struct, frozen=True):
    """One call of the guest, such as `Call("kv.get", ["agent", "greeting"])`."""

    name: str
    """Interface and function, with a dot between them."""
    arguments: list[Any]


class Refusal(msgspec.Struct, frozen=True):
    """Why a call did not succeed: the record `error` of the WIT."""

    code: str
    message: str


class Reply(msgspec.Struct, frozen=True):
    """The host's answer to a `Call`."""

    value: Any = None
    error: Refusal | None = None
    time_ns: int = 0
    """What the guest's clock shows from now on, in nanoseconds since 1970: a host that records
    sets it, or a replay would show the guest another time. 0 is the time at which it is sent."""


class Refused(Exception):
    """Raised by a capability to answer a call with an error; it never reaches a user."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(code, message)


class Capability(Protocol):
    """One interface of the WIT for one run, such as `kv` for one agent and conversation."""

    async def call(self, function: str, arguments: list[Any]) -> Any:
        """Carry out `function` and return its JSON value.

        Raises:
            Refused: it is not granted, not possible, over a budget, or failed; the guest reads why.
        """


class Host(Protocol):
    """Whatever answers the calls of one run: capabilities, or a record that is replayed."""

    async def answer(self, call: Call) -> Reply:
        """Answer one call; it never raises but when cancelled."""
