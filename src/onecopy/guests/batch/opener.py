"""Opens sequences, in a thread of the worker: grammars take their time, and steps do not wait."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from typing import TYPE_CHECKING

from onecopy.errors import OnecopyError
from onecopy.guests.batch.lender import LOGITS
from onecopy.guests.batch.openings import REPLAY
from onecopy.guests.batch.replay import Replay
from onecopy.guests.batch.seat import Seat
from onecopy.guests.batch.steps import OPENED, OPENING
from onecopy.guests.decoding.controller import Controller
from onecopy.guests.decoding.variables import Variables
from onecopy.guests.wasm.engine import ticker, ticks
from onecopy.guests.windows.source import Source
from onecopy.guests.workers.progress import culprit
from onecopy.store import wire

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    import wasmtime

    from onecopy.guests.batch.bench import Bench
    from onecopy.guests.batch.sequences import Told
    from onecopy.guests.decoding.grammars import Grammars
    from onecopy.guests.decoding.outcome import Outcome
    from onecopy.guests.decoding.vocabulary import Vocabulary

log = logging.getLogger("onecopy.guests")


class Opener:
    """The thread, and what the controllers that it makes have in common."""

    def __init__(
        self,
        bench: Bench,
        grammars: Grammars,
        vocabulary: Vocabulary,
        opened: int,
        keep: int,
        guest_seconds: float,
    ) -> None:
        self._bench = bench
        self._vocabulary = vocabulary
        self._opened = opened
        self._keep = keep
        self._epochs = REPLAY * ticks(guest_seconds)
        self._grammars = grammars
        self._modules: dict[str, wasmtime.Module] = {}
        self._requests: dict[str, MutableMapping[bytes, bytes]] = {}
        self._ordered: dict[int, str] = {}
        """Requests by sequence."""
        self._unwanted: set[int] = set()
        """Those among the ordered that were closed meanwhile."""
        self._lent: dict[int, int] = {}
        """Segments that windows lie in: descriptors by number."""
        self._closing = False
        self._orders: queue.SimpleQueue[Sequence[Told] | int | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="opener", daemon=True)
        self._thread.start()

    def open(self, group: Sequence[Told], modules: dict[str, wasmtime.Module]) -> None:
        """Have sequences opened together; their lines say when, and how that went."""
        self._modules.update(modules)
        self._ordered.update({each.number: each.request for each in group})
        self._orders.put(group)

    def lend(self, segment: int, fd: int) -> None:
        """Take a segment that windows of sequences to come lie in."""
        self._lent[segment] = fd

    def give_back(self, segment: int) -> None:
        """Close a segment, when all that was ordered before is done."""
        self._orders.put(segment)

    def close_sequence(self, number: int) -> None:
        """Close a sequence, also one that is still to be opened."""
        seats = self._bench.seats
        seat = seats.pop(number, None)
        if seat is None:
            if number in self._ordered:
                self._unwanted.add(number)
            # The thread may have seated it between, and not have seen that nobody wants it.
            seat = seats.pop(number, None)
        if seat is None:
            return
        self._unwanted.discard(number)
        seat.controller.close()
        self._forget(seat.request, number)

    def _forget(self, request: str, number: int) -> None:
        """Drop what a request's sequences share if this one, which is gone, was the last."""
        # Copied at once, for the other thread moves some from the one to the other meanwhile.
        users = dict(self._ordered)
        users |= {each.number: each.request for each in list(self._bench.seats.values())}
        users.pop(number, None)
        if request not in users.values():
            self._requests.pop(request, None)

    def close(self) -> None:
        """Stop, as soon as what is being opened is; nobody waits for that."""
        self._closing = True
        self._orders.put(None)

    # ---- the thread ----

    def _run(self) -> None:
        with contextlib.suppress(OnecopyError):  # those who want a grammar will be told
            self._grammars.engine()  # takes its time: not when the first sequence needs it
        while (order := self._orders.get()) is not None and not self._closing:
            if isinstance(order, int):
                os.close(self._lent.pop(order))
                continue
            if self._grammars.stuck:
                log.error("grammars that do not end keep others from being compiled")
                os._exit(1)  # the engine opens elsewhere what is here, this group too
            with ticker.running():
                self._open(order)
        self._vocabulary.close()
        wire.close_all([self._opened, *self._lent.values()])

    def _open(self, group: Sequence[Told]) -> None:
        """Open each family once, then repeat what they were told in the order of old."""
        families: dict[int, list[Told]] = {}
        for each in group:
            if each.number in self._unwanted:  # closed while others were opened
                self._drop(each)
            else:
                families.setdefault(each.root, []).append(each)
        replays = [Replay(families[root], self._epochs) for root in sorted(families)]
        for replay in replays:
            self._begin(replay)
            replay.open(self._make)
        for order in sorted({order for replay in replays for order in replay.orders()}):
            for replay in replays:
                self._begin(replay)
                replay.repeat(order)
        for replay in replays:
            replay.perform(self._bench.windows)
            for told in replay.members:
                self._settle(replay, told)
        self._bench.board.words[self._bench.slot + OPENING] = 0
        os.eventfd_write(self._opened, 1)

    def _begin(self, replay: Replay) -> None:
        self._bench.board.words[self._bench.slot + OPENING] = replay.members[0].number

    def _settle(self, replay: Replay, told: Told) -> None:
        bench, line = self._bench, self._bench.opening(told.row)
        controller = replay.controllers.get(told.number)
        if controller is None:
            bench.board.answer_failure(line, replay.errors[told.number])
        else:
            number = culprit(told.digest)
            bench.settle(controller)  # else the first step would
            bench.sit(Seat(bench, controller, told.number, told.row, number, told.request))
            bench.caller.answer(line, replay.outcome)
        self._ordered.pop(told.number, None)
        if controller is None:
            self._forget(told.request, told.number)
        if self._closing or told.number in self._unwanted:
            self._unwanted.discard(told.number)
            self.close_sequence(told.number)
        bench.board.words[line + OPENED] = told.number

    def _drop(self, told: Told) -> None:
        """Leave one out that nobody wants any more; the engine hears that its turn is over."""
        self._ordered.pop(told.number, None)
        self._unwanted.discard(told.number)
        self._forget(told.request, told.number)
        line = self._bench.opening(told.row)
        self._bench.board.words[line + OPENED] = told.number

    def _make(self, told: Told) -> tuple[Controller, Outcome | None]:
        row = self._bench.windows(told.row)
        controller = Controller(
            self._modules[told.digest],
            self._vocabulary,
            config=told.config,
            grammars=self._grammars,
            variables=self._variables(told.request),
            memory_limit=told.memory_limit,
            windows={**self._windows(told), **row},
            rehearse=told.again,
        )
        try:
            windows = controller.instance.windows
            if row:
                # What a former sequence had there is not for this one; and if this one is closed
                # before it is open, the row is another's, who is not to see what it writes.
                windows.blank(LOGITS)
            if self._keep:
                controller.keep(self._keep)
            outcome = controller.init_prompt(told.prompt, told.seconds)
            if row and not told.again:
                windows.show(LOGITS, row[LOGITS])
            return controller, outcome
        except BaseException:
            controller.close()
            raise

    def _windows(self, told: Told) -> dict[str, Source]:
        return {
            each.name: Source.from_fields(each.fields, self._lent[each.segment])
            for each in told.windows
        }

    def _variables(self, request: str) -> MutableMapping[bytes, bytes]:
        return self._requests.setdefault(request, Variables()) if request else Variables()
