"""The host of one run: capabilities by interface, and a witness of each call."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, Protocol

from onecopy.agents.calls import FAILED, NOT_GRANTED, Refusal, Refused, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onecopy.agents.calls import Call, Capability

_log = logging.getLogger(__name__)
_SEVERAL: Final = frozenset({"http", "tools"})


class Witness(Protocol):
    """Is told of all that a run asks for, and of the answers; a `records.Recorder`."""

    def call(self, call: Call, reply: Reply, started: float, seconds: float) -> None:
        """Note one call; `started` is a time since 1970."""


class GrantedHost:
    """Answers the calls of one run with what its manifest grants (a `calls.Host`).

    Args:
        capabilities: by interface; what is missing is refused, with the lines that would grant it.
        witness: is told of each call.
    """

    def __init__(self, capabilities: Mapping[str, Capability], witness: Witness) -> None:
        self._capabilities = capabilities
        self._witness = witness

    async def answer(self, call: Call) -> Reply:
        """Answer one call; it never raises but when cancelled."""
        began, started = time.time(), time.monotonic()
        value, error = await self._asked(call)
        # What the guest's clock shows next is part of the record, for a replay.
        reply = Reply(value, error, time_ns=time.time_ns())
        self._witness.call(call, reply, began, time.monotonic() - started)
        return reply

    async def _asked(self, call: Call) -> tuple[object, Refusal | None]:
        interface, _, function = call.name.partition(".")
        if interface == "log":
            return None, None
        capability = self._capabilities.get(interface)
        if capability is None:
            return None, _missing(interface)
        try:
            return await capability.call(function, call.arguments), None
        except Refused as refused:
            return None, refused.refusal
        except Exception:  # a fault of ours must not take the server down, nor tell the guest why
            _log.exception("%s failed", call.name)
            return None, Refusal(FAILED, f"{call.name} failed in the host; its log says why")


def _missing(interface: str) -> Refusal:
    table = f"[[grants.{interface}]]" if interface in _SEVERAL else f"[grants.{interface}]"
    return Refusal(
        NOT_GRANTED, f"{interface} is not granted; add to agent.toml: {table} (docs/agents.md)"
    )
