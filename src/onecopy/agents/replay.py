"""Running an agent again with what its host answered: offline, and with the same outcome.

    outcome = await replay(workers, event, start, calls)

The guest's randomness follows from `start`, its clock from that and the answers, and there is
nothing else that it could learn from. What it writes into its log is no part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from onecopy.agents.calls import Call, Reply
from onecopy.errors import ReplayDiverged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.agents.outcome import Outcome
    from onecopy.agents.worker.pool import Workers
    from onecopy.agents.worker.start import Start

    Recorded = Sequence[tuple[Call, Reply]]

_LONGEST = 300


class Replay:
    """A host that answers from a record, once and in its order.

    Args:
        calls: what the guest called, without its log, and what the host answered. Each `Reply` has
            the `time_ns` that it had then.
    """

    def __init__(self, calls: Recorded) -> None:
        self.logged: list[Call] = []
        """What the guest has written into its log this time."""
        self._calls = calls
        self._next = 0

    async def answer(self, call: Call) -> Reply:
        """Answer as the host did then.

        Raises:
            ReplayDiverged: the guest called something else then, or nothing more.
        """
        if call.name.startswith("log."):
            self.logged.append(call)
            return Reply()
        if self._next == len(self._calls):
            raise ReplayDiverged(
                f"call {self._next + 1} is {_shown(call)}, and the record has no more; the agent "
                "or its settings have changed since, or the run was lost there"
            )
        expected, reply = self._calls[self._next]
        self._next += 1
        if call != expected:
            raise ReplayDiverged(
                f"call {self._next} is {_shown(call)}; in the record it is {_shown(expected)}. The "
                "agent or its settings have changed since"
            )
        return reply

    def check_ended(self) -> None:
        """Raise `ReplayDiverged` if the guest has not made all calls of the record."""
        if self._next < len(self._calls):
            raise ReplayDiverged(
                f"the agent ended after {self._next} calls; in the record call {self._next + 1} is "
                f"{_shown(self._calls[self._next][0])}"
            )


async def replay(workers: Workers, event: str, start: Start, calls: Recorded) -> Outcome:
    """Run an agent again, and return its outcome; a guest that sleeps need not wait for it.

    Args:
        workers: of the component and the limits of then.
        event: the same JSON, letter by letter.
        start: what `Workers.run` was given.
        calls: see `Replay`.

    Raises:
        ReplayDiverged: the guest called something else than then; the text says where.
    """
    host = Replay(calls)
    outcome = await workers.run(event, host, msgspec.structs.replace(start, waits=False))
    host.check_ended()
    return outcome


def _shown(call: Call) -> str:
    text = f"{call.name}({', '.join(repr(each) for each in call.arguments)})"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
