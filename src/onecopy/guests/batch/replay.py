"""Sequences that go back to one opening: opened once, and told again what each was told."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from onecopy.errors import GuestError
from onecopy.guests.batch.lender import LOGITS
from onecopy.guests.decoding.outcome import Choose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from onecopy.guests.batch.sequences import Told, ToldCall
    from onecopy.guests.decoding.controller import Controller
    from onecopy.guests.decoding.outcome import Outcome
    from onecopy.guests.windows.source import Source

_FLOAT: Final = struct.Struct("<f")
_OUTSTANDING: Final = 1e4
"""A logit beside zeros, at any usual temperature."""


class Replay:
    """A family of branches; members share a controller until the fork that parted them.

    Calls that they have in common are made once: what a guest does to shared variables it did once.
    """

    def __init__(self, members: list[Told], epochs: int) -> None:
        self.members = members
        self.outcome: Outcome | None = None
        """What the guest made of the prompt."""
        self.controllers: dict[int, Controller] = {}
        """By the number of the sequence; those that failed have none."""
        self.errors: dict[int, Exception] = {}
        self._epochs = epochs
        self._calls = {each.number: {call.order: call for call in each.calls} for each in members}

    def orders(self) -> set[int]:
        """Return when there were calls."""
        return {order for calls in self._calls.values() for order in calls}

    def open(self, make: Callable[[Told], tuple[Controller, Outcome | None]]) -> None:
        """Make the guest, and give it the prompt."""
        numbers = [each.number for each in self.members]
        try:
            controller, self.outcome = make(self.members[0])
            self.controllers = dict.fromkeys(numbers, controller)
        except Exception as error:
            self.errors = dict.fromkeys(numbers, error)

    def repeat(self, order: int) -> None:
        """Make the calls of one moment again."""
        concerned: dict[Controller, list[int]] = {}
        for number, controller in self.controllers.items():
            if order in self._calls[number]:
                concerned.setdefault(controller, []).append(number)
        for controller, numbers in concerned.items():
            try:
                self._part(controller, numbers)
                self._call(controller, [self._calls[each][order] for each in numbers], numbers)
            except Exception as error:
                self._fail(controller, error)

    def _part(self, controller: Controller, numbers: list[int]) -> None:
        """Give those that were not called then (a rollback took it back) a copy of their own."""
        others = [
            number
            for number, each in self.controllers.items()
            if each is controller and number not in numbers
        ]
        if others:
            branch = controller.branch
            _, copy = controller.fork(2)
            controller.branch = copy.branch = branch  # no fork that a guest ever heard of
            self.controllers.update(dict.fromkeys(others, copy))

    def _call(self, controller: Controller, calls: list[ToldCall], numbers: list[int]) -> None:
        first = calls[0]
        if not first.branches:
            self._step(controller, first)
            return
        branches = controller.fork(first.branches)
        for number, call in zip(numbers, calls, strict=True):
            self.controllers[number] = branches[call.number]
        kept = {id(each) for each in self.controllers.values()}
        for each in branches:
            if id(each) not in kept:
                each.close()

    def _step(self, controller: Controller, call: ToldCall) -> None:
        """Call the guest as then; what it writes to windows reaches nobody.

        Nobody has the logits any more that it saw. It sees a row in which the token that it chose
        stands out, if it chose one, and is to choose it again.
        """
        windows = controller.instance.windows
        seen = LOGITS in windows
        if seen:
            _suppose(controller, call.chosen)
        outcome = controller.step(call.tokens, self._epochs)
        chosen = outcome.token if isinstance(outcome, Choose) else -1
        if chosen != call.chosen:
            raise GuestError(
                "it cannot be rebuilt: told again what it was told, it chose another token; open "
                "it with rebuild=False if what it remembers does not follow from tokens"
            )
        if seen:
            windows.drop(LOGITS)
        controller.settle()

    def perform(self, windows: Callable[[int], Mapping[str, Source]]) -> None:
        """Let the guests be seen: they are where the lost ones were.

        Args:
            windows: returns what a row's guest sees that others do not.
        """
        for each in self.members:
            if each.number in self.controllers:
                self.controllers[each.number].perform(windows(each.row))

    def _fail(self, controller: Controller, error: Exception) -> None:
        failed = [number for number, each in self.controllers.items() if each is controller]
        for number in failed:
            del self.controllers[number]
            self.errors[number] = error
        controller.close()


def _suppose(controller: Controller, token: int) -> None:
    """Write a row of logits over the guest's view of its row."""
    row = controller.instance.windows[LOGITS]
    supposed = bytearray(row.nbytes)
    if token >= 0:
        _FLOAT.pack_into(supposed, _FLOAT.size * token, _OUTSTANDING)
    controller.instance.memory.write(row.address, bytes(supposed))
