"""Budgets of tokens and money: checked before a call by an estimate, counted after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from onecopy.agents.calls import BUDGET, Refused

if TYPE_CHECKING:
    from onecopy.agents.manifest.grants import LlmGrant

ANSWER_TOKENS: Final = 16384
"""The most of an answer if the guest does not say."""
_DAY: Final = 86400


class Usage(msgspec.Struct, frozen=True):
    """What one call has used."""

    model: str
    input_tokens: int
    output_tokens: int
    usd: float = 0.0
    estimated: bool = False
    """Whether the tokens are estimates: the endpoint did not say, or did not get that far."""


_DAYS: Final = 7
"""Days on which something was spent, of which that is known."""


class Spending:
    """What all runs of an agent spend on a day (UTC); one for an agent, as long as its server.

    Args:
        spent: USD that were spent today before.
        clock: seconds since 1970.
    """

    def __init__(self, spent: float = 0.0, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._spent = {self._today(): spent}
        """Of more than one day: a clock that is set forward and back is on the first again."""
        self._held = 0.0

    def _today(self) -> int:
        return int(self._clock() // _DAY)

    def today(self) -> float:
        """Return the USD of today, with the most that calls under way may cost."""
        return self._spent.get(self._today(), 0.0) + self._held

    @contextmanager
    def holding(self, usd: float) -> Iterator[None]:
        """Hold what a call may cost, so that those at the same time do not count on it too."""
        self._held += usd
        try:
            yield
        finally:
            self._held = max(0.0, self._held - usd)

    def add(self, usd: float) -> None:
        """Count what was spent."""
        today = self._today()
        self._spent[today] = self._spent.get(today, 0.0) + usd
        if len(self._spent) > _DAYS:
            del self._spent[next(iter(self._spent))]


class Budget:
    """What one run may use.

    Args:
        grant: `[grants.llm]` of the manifest.
        spending: of the agent.
        report: told of each call's usage.
    """

    def __init__(
        self, grant: LlmGrant, spending: Spending, report: Callable[[Usage], None]
    ) -> None:
        self._grant = grant
        self._spending = spending
        self._report = report
        self._tokens = 0
        self._usd = 0.0
        self._held = (0, 0.0)
        """What calls under way may use: a guest that has escaped may make several at once."""

    def allow(self, prompt: int, wanted: int | None) -> int:
        """Return the most tokens that an answer may have.

        Args:
            prompt: about how many tokens the prompt has.
            wanted: what the guest has asked for.

        Raises:
            Refused: `budget`: there is no room for the prompt, or for nothing beside.
        """
        grant, (tokens, usd) = self._grant, self._held
        rooms = [
            wanted or ANSWER_TOKENS,
            _room(grant.tokens - self._tokens - tokens - prompt, prompt, "tokens", grant.tokens),
        ]
        if grant.usd is not None:
            left = grant.usd - self._usd - usd
            rooms.append(self._affordable(left, prompt, "usd", grant.usd))
        if grant.usd_per_day is not None:
            left = grant.usd_per_day - self._spending.today()
            rooms.append(self._affordable(left, prompt, "usd_per_day", grant.usd_per_day))
        return min(rooms)

    def _affordable(self, left: float, prompt: int, key: str, limit: float) -> int:
        remains = left - self.cost(prompt, 0)
        each = self.cost(0, 1)
        # What costs nothing has no end, as long as there is anything left.
        room = int(remains / each) if each else (1 << 40) * (remains > 0)
        return _room(room, prompt, key, limit)

    def cost(self, asked: int, answered: int) -> float:
        """Return the USD of so many tokens."""
        price = self._grant.price
        return 0.0 if price is None else (price.input * asked + price.output * answered) / 1e6

    @contextmanager
    def holding(self, prompt: int, most: int) -> Iterator[None]:
        """Hold what a call may use, also on the day's account."""
        usd = self.cost(prompt, most)
        self._hold(prompt + most, usd)
        try:
            with self._spending.holding(usd):
                yield
        finally:
            self._hold(-prompt - most, -usd)

    def _hold(self, tokens: int, usd: float) -> None:
        self._held = (self._held[0] + tokens, max(0.0, self._held[1] + usd))

    def spend(self, model: str, asked: int, answered: int, *, estimated: bool) -> None:
        """Count what a call has used, and report it."""
        usd = self.cost(asked, answered)
        self._tokens += asked + answered
        self._usd += usd
        self._spending.add(usd)
        self._report(Usage(model, asked, answered, usd, estimated))


def _room(left: int, prompt: int, key: str, limit: float) -> int:
    if left < 1:
        raise Refused(
            BUDGET,
            f"a prompt of about {prompt} tokens and an answer do not fit into what is left of "
            f"{key} = {limit:g}; shorten it, or raise {key} in [grants.llm] of agent.toml",
        )
    return left
