"""One worker, as the engine's side of a batch sees it: its sequences are opened by a thread.

Steps do not come this way: they ring the bell. What takes messages (modules, opening, closing) is
ordered here by whoever wants it, and done by this thread, which alone waits for the worker.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from onecopy.errors import LimitReached, OnecopyError, WorkerLost
from onecopy.guests.batch import eventfds, sequences, steps
from onecopy.guests.batch.history import Branch
from onecopy.guests.batch.openings import REPLAY, Openings
from onecopy.guests.batch.sequence import SUSPENDED
from onecopy.store import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.guests.batch.crew import Crew
    from onecopy.guests.batch.sequence import Sequence
    from onecopy.guests.workers.remote import WorkerProcess

log = logging.getLogger("onecopy.guests")

_ATTACH_SECONDS: Final = 60.0
_SLICE_MS: Final = 50
_PATIENCE: Final = 5.0


class Station:
    """The worker's eventfds, its slot on the board, and who is being opened there."""

    def __init__(self, crew: Crew, worker: WorkerProcess) -> None:
        self.worker = worker
        self.slot = crew.batch.board.slot(worker.index)
        self.bell, self.done, self._opened, self._wake = eventfds.made(4)
        self.lost = False
        self.refusal = ""
        """Why its worker, which lives, has nothing of this batch."""
        self.freed: list[int] = []
        """Rows of closed sequences, on which it may still be at work."""
        self._crew = crew
        self._batch = crew.batch
        self._orders: deque[Callable[[], None]] = deque()
        self._opening = Openings(crew.batch.board, worker.index, crew.batch.guest_seconds)
        self._lent: set[int] = set()
        """Segments that the worker has; the lock of `Crew` is for them."""
        self._late = 0.0
        self._ending = False
        self._buried = False
        self._descriptors = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="station", daemon=True)
        self._thread.start()

    def idle(self) -> bool:
        """Return whether it has finished what it was rung for."""
        words = self._batch.board.words
        return not self.lost and words[self.slot] == words[self.slot + steps.FINISHED]

    def ring(self, now: float) -> None:
        """Wake the worker for the step that its slot says."""
        count = self._batch.board.words[self.slot + steps.COUNT]
        self._late = now + _PATIENCE + REPLAY * count * self._batch.guest_seconds
        try:
            os.eventfd_write(self.bell, 1)
        except BlockingIOError:
            self.worker.kill("its bell is full: it is not what it was", fault=True)

    def check(self, now: float) -> None:
        """End a worker that has had its time several times over: it is stopped, or worse.

        The watchdog sees only those that say what they do.
        """
        if not self.lost and now > self._late:
            self.worker.kill("it did not finish a step")

    def ran(self, sequence: Sequence) -> bool:
        """Return whether a sequence's guest ran when the worker died."""
        words, slot = self._batch.board.words, self.slot
        if sequence.awaited:
            return words[slot + steps.OPENING] == sequence.number
        return bool(sequence.asked) and words[slot + steps.RUNNING] == sequence.row + 1

    def open(self, group: list[Sequence]) -> None:
        """Have sequences opened or rebuilt, those of one request together."""
        self._order(lambda: self._send_open(group))

    def close_sequence(self, number: int) -> None:
        """Have a sequence closed."""
        message = sequences.CloseSequence(self._batch.key, number)
        self._order(lambda: self.worker.send(message))

    def give_back(self, segment: int) -> None:
        """Have the worker close a segment that no sequence shows any more."""
        if segment in self._lent:
            self._lent.discard(segment)
            self.worker.kept.remove((self._batch.key, segment))
            message = sequences.Return(self._batch.key, segment)
            self._order(lambda: self.worker.send(message))

    def close(self) -> None:
        """Have all of its sequences closed, and end the thread; twice is fine."""
        self._ending = True
        self._ring(self._wake)
        self._thread.join()
        self.bury()

    def bury(self) -> None:
        """Close its descriptors: nobody may be waiting for them."""
        with self._descriptors:
            if not self._buried:
                self._buried = True
                wire.close_all([self.bell, self.done, self._opened, self._wake])

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.append(order)
        self._ring(self._wake)

    def _ring(self, fd: int) -> None:
        with self._descriptors:  # the number of a closed one may be somebody else's by now
            if not self._buried:
                with contextlib.suppress(BlockingIOError):  # full: whoever waits will wake up
                    os.eventfd_write(fd, 1)

    # ---- the thread ----

    def _run(self) -> None:
        try:
            self._attach()
            self.worker.on_lost(self._note_loss)
            self._serve()
        except WorkerLost:
            self._note_loss(self.worker)
        except (OnecopyError, OSError) as error:  # the latter if no descriptor is free here
            log.error("a worker cannot take sequences: %s", error)
            self.refusal = str(error)
            self._detach()
            self._note_loss(self.worker)
        if self._ending and not self.lost:
            self._detach()
        elif not self._ending:
            self._crew.recovery.recover(self)
        self.worker.off_lost(self._note_loss)

    def _detach(self) -> None:
        self.worker.kept.remove(*((self._batch.key, each) for each in self._lent))
        with contextlib.suppress(OnecopyError, OSError):
            self.worker.send(sequences.Detach(self._batch.key))

    def _note_loss(self, _: WorkerProcess) -> None:
        self.lost = True
        self._ring(self._wake)
        self._ring(self.done)

    def _attach(self) -> None:
        batch = self._batch
        words = batch.board.words
        for word in (steps.STEP, steps.FINISHED, steps.RUNNING, steps.OPENING):
            words[self.slot + word] = 0
        message = sequences.Attach(
            key=batch.key,
            index=self.worker.index,
            batch=batch.rows.batch,
            workers=batch.board.workers,
            biases=batch.rows.bias_stride > 0,
            guest_seconds=batch.guest_seconds,
            keep=batch.keep,
            grammar_engine=batch.grammar_engine,
            logits=tuple(each.fields() for each in batch.logits),
        )
        fds = (batch.rows.fd, batch.board.fd, self.bell, self.done, self._opened)
        segments = (batch.table.fd, *(each.fd for each in batch.logits[:1]))
        self.worker.request(message, (*fds, *segments), _ATTACH_SECONDS)

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._opened, select.POLLIN)
        while not self._ending and not self.lost:
            for fd, _ in poll.poll(_SLICE_MS if self._opening else None):
                eventfds.hear(fd)
            while self._orders and not self.lost:
                self._orders.popleft()()
            self._look_at_opening()

    def _send_open(self, group: list[Sequence]) -> None:
        group = [each for each in group if each.awaited and self._ensure(each)]
        if group:
            with self._crew.lock:
                told = tuple(map(_told, group))
                new = {each.segment for one in told for each in one.windows} - self._lent
                try:
                    self.worker.kept.add({(self._batch.key, each): 1 for each in new})
                except LimitReached as error:
                    for each in group:
                        self._crew.refused(each, error)
                    return
                held = self._crew.lender.hold(new)
                self._lent.update(held)
            self._opening.add(group)
            try:
                for number, fd in held.items():
                    self.worker.send(sequences.Lend(self._batch.key, number), (fd,))
                self.worker.send(sequences.Open(self._batch.key, told))
            finally:
                self._crew.give_back(held)

    def _ensure(self, sequence: Sequence) -> bool:
        try:
            self.worker.ensure(sequence.origin.module)
        except WorkerLost:
            raise
        except OnecopyError as error:
            self._crew.refused(sequence, error)
            return False
        return True

    def _look_at_opening(self) -> None:
        while (sequence := self._opening.take()) is not None:
            self._crew.opened(sequence, self._opening.line(sequence))
        if self._opening.are_late():
            self.worker.kill("it did not open a sequence in time", fault=True)


def _told(sequence: Sequence) -> sequences.Told:
    """Return what it takes to open a sequence, and to tell it what it was told."""
    origin, history = sequence.origin, sequence.history
    history.lost()  # what was rolled back while it was lost, this guest will never have heard
    calls = [
        sequences.ToldCall(order, (), *call)
        if isinstance(call, Branch)
        else sequences.ToldCall(order, call, chosen=history.chosen.get(order, -1))
        for order, call in zip(history.orders, history.calls, strict=True)
    ]
    return sequences.Told(
        number=sequence.number,
        row=sequence.row,
        digest=origin.module.digest,
        config=origin.config,
        request=origin.request,
        prompt=history.prompt,
        seconds=origin.seconds,
        memory_limit=origin.memory_limit,
        root=history.root,
        calls=tuple(calls),
        windows=origin.windows,
        again=sequence.state == SUSPENDED,
    )
