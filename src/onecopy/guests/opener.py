"""Opens sequences, in a thread of the worker: grammars take their time, and steps do not wait."""

from __future__ import annotations

import os
import queue
import threading
from typing import TYPE_CHECKING, Final

from onecopy.guests.bench import Seat
from onecopy.guests.controller import Controller
from onecopy.guests.engine import ticks
from onecopy.guests.grammar import Grammars
from onecopy.guests.history import Branch
from onecopy.guests.progress import culprit
from onecopy.guests.steps import OPENED, OPENING
from onecopy.guests.variables import Variables

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    import wasmtime

    from onecopy.guests.bench import Bench
    from onecopy.guests.outcome import Outcome
    from onecopy.guests.sequences import OpenSequence
    from onecopy.guests.vocabulary import Vocabulary

REPLAY: Final = 4
"""How much longer than in its step a call may take when it is repeated: the machine is busy."""


class Opener:
    """The thread, and what the controllers that it makes have in common."""

    def __init__(
        self, bench: Bench, vocabulary: Vocabulary, opened: int, keep: int, guest_seconds: float
    ) -> None:
        self._bench = bench
        self._vocabulary = vocabulary
        self._opened = opened
        self._keep = keep
        self._epochs = REPLAY * ticks(guest_seconds)
        self._grammars = Grammars(vocabulary)
        self._grammars.engine()  # takes its time: not in the first sequence that needs it
        self._requests: dict[str, MutableMapping[bytes, bytes]] = {}
        self._unwanted: set[int] = set()
        self._orders: queue.SimpleQueue[tuple[OpenSequence, wasmtime.Module] | None]
        self._orders = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="opener", daemon=True)
        self._thread.start()

    def open(self, message: OpenSequence, module: wasmtime.Module) -> None:
        """Have a sequence opened; its line says when, and how that went."""
        self._orders.put((message, module))

    def close_sequence(self, number: int) -> None:
        """Close a sequence, also one that is still to be opened."""
        seat = self._bench.seats.pop(number, None)
        if seat is None:
            self._unwanted.add(number)
            return
        seat.controller.close()
        if not any(each.request == seat.request for each in self._bench.seats.values()):
            self._requests.pop(seat.request, None)

    def close(self) -> None:
        """Stop; what was ordered and not begun is not opened."""
        self._orders.put(None)
        self._thread.join()
        self._vocabulary.close()
        os.close(self._opened)

    # ---- the thread ----

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            self._open(*order)

    def _open(self, message: OpenSequence, module: wasmtime.Module) -> None:
        bench = self._bench
        words, line = bench.board.words, bench.board.line(message.row)
        words[bench.slot + OPENING] = message.row + 1
        try:
            controller, outcome = self._make(message, module)
            number = culprit(message.digest)
            seat = Seat(bench, controller, message.number, message.row, number, message.request)
            bench.sit(seat)
            bench.answer(line, outcome)
            if message.number in self._unwanted:
                self.close_sequence(message.number)
        except Exception as error:
            bench.board.answer_failure(line, error)
        words[bench.slot + OPENING] = 0
        words[line + OPENED] = message.number
        os.eventfd_write(self._opened, 1)

    def _make(
        self, message: OpenSequence, module: wasmtime.Module
    ) -> tuple[Controller, Outcome | None]:
        controller = Controller(
            module,
            self._vocabulary,
            config=message.config,
            grammars=self._grammars,
            variables=self._variables(message.request),
            memory_limit=message.memory_limit,
            windows=self._bench.windows(message.row),
        )
        try:
            if self._keep:
                controller.keep(self._keep)
            outcome = controller.init_prompt(message.prompt, message.seconds)
            return self._repeat(controller, message), outcome
        except BaseException:
            controller.close()
            raise

    def _variables(self, request: str) -> MutableMapping[bytes, bytes]:
        return self._requests.setdefault(request, Variables()) if request else Variables()

    def _repeat(self, controller: Controller, message: OpenSequence) -> Controller:
        """Tell a guest again what it was told."""
        forks: dict[int, list[Branch]] = {}
        for before, number, branches in message.branches:
            forks.setdefault(before, []).append(Branch(number, branches))
        for i in range(len(message.calls) + 1):
            for branch in forks.get(i, ()):
                controller = _branch_of(controller, branch)
            if i < len(message.calls):
                controller.step(message.calls[i], self._epochs)
        return controller


def _branch_of(controller: Controller, branch: Branch) -> Controller:
    controllers = controller.fork(branch.branches)
    chosen = controllers.pop(branch.number)
    for each in controllers:
        each.close()
    return chosen
