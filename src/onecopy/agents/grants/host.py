"""The host of one run: capabilities by interface, and a witness of each call."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

from onecopy.agents.calls import FAILED, NOT_GRANTED, Refusal, Refused, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onecopy.agents.calls import Call, Capability

_log = logging.getLogger(__name__)


class Witness(Protocol):
    """Is told of all that a run asks for, and of the answers; see `onecopy.agents.records`."""

    def call(self, call: Call, reply: Reply, started: float, seconds: float) -> None:
        """Note one call; `started` is a time since 1970."""

    def log(self, level: str, text: str) -> None:
        """Note one line."""

    def step(self, name: str) -> None:
        """Note that a named part of the run begins."""


class GrantedHost:
    """Answers the calls of one run with what its manifest grants (a `calls.Host`).

    Args:
        capabilities: by interface; what is missing is refused, with the lines that would grant it.
        witness: is told of each call.
        manifest: how the manifest is called in refusals.
    """

    def __init__(
        self, capabilities: Mapping[str, Capability], witness: Witness, manifest: str
    ) -> None:
        self._capabilities = capabilities
        self._witness = witness
        self._manifest = manifest

    async def answer(self, call: Call) -> Reply:
        """Answer one call; it never raises but when cancelled."""
        interface, _, function = call.name.partition(".")
        if interface == "log":
            return self._logged(function, call)
        began, started = time.time(), time.monotonic()
        reply = await self._asked(interface, function, call)
        self._witness.call(call, reply, began, time.monotonic() - started)
        return reply

    def _logged(self, function: str, call: Call) -> Reply:
        if function == "step":
            self._witness.step(*call.arguments)
        else:
            self._witness.log(*call.arguments)
        return Reply()

    async def _asked(self, interface: str, function: str, call: Call) -> Reply:
        capability = self._capabilities.get(interface)
        if capability is None:
            return Reply(error=Refusal(NOT_GRANTED, self._missing(interface)))
        try:
            return Reply(await capability.call(function, call.arguments))
        except Refused as refused:
            return Reply(error=refused.refusal)
        except Exception:  # a fault of ours must not take the server down, nor tell the guest why
            _log.exception("%s failed", call.name)
            return Reply(error=Refusal(FAILED, f"{call.name} failed in the host; its log says why"))

    def _missing(self, interface: str) -> str:
        table = f"[[grants.{interface}]]" if interface in _SEVERAL else f"[grants.{interface}]"
        return f"{interface} is not granted; add {table} to {self._manifest} (docs/agents.md)"


_SEVERAL = frozenset({"http", "tools"})
