"""The engine's side of a batch: `Controllers` opens sequences, steps them and never waits long."""

from __future__ import annotations

import heapq
import itertools
import os
import select
import threading
import time
from operator import index
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import (
    GuestError,
    InvalidArgument,
    LimitReached,
    OnecopyError,
    WaitTimeout,
    WorkerLost,
)
from onecopy.guests import control, sequences, steps
from onecopy.guests.answers import ALLOWED, Fork, Step
from onecopy.guests.history import History
from onecopy.guests.ledger import Forking, Ledger
from onecopy.guests.outcome import MAX_BRANCHES
from onecopy.guests.rows import Rows
from onecopy.guests.sequence import CLOSED, FAILED, READY, STOPPED, SUSPENDED, Origin, Sequence
from onecopy.guests.station import Station
from onecopy.guests.steps import MAX_TOKENS, Board

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Sequence as Items

    from onecopy.guests.answers import Answer, OnFailure
    from onecopy.guests.module import Module
    from onecopy.guests.pool import Pool
    from onecopy.guests.remote import WorkerProcess
    from onecopy.guests.vocabulary import Vocabulary

OPEN_SECONDS: Final = 10.0
"""What a guest may take to open, grammars that it compiles included."""
KEEP: Final = 16
_ATTEMPTS: Final = 3

_keys: Final = itertools.count(1)


class Controllers:
    """The controllers of a batch, in the workers of a pool; close it, or use it with `with`.

        with Controllers(store, vocabulary, pool) as controllers:
            sequence = controllers.open("veto.wasm", schema, prompt)
            step = controllers.step({sequence: []})
            if isinstance(step.outcomes[sequence], Allowed):
                token = sample(logits, step.mask[sequence.row])
                step = controllers.step({sequence: [token]})

    One thread steps; others may open, wait and close meanwhile.

    Args:
        store: where tensors that guests see are made (`logits`); None if there are none.
        vocabulary: of the model; it outlives this.
        pool: whose workers run the guests, within its guest_ms and step_ms.
        batch: how many rows there are, and so sequences at a time.
        biases: whether `Step.biases` is wanted.
        keep: how many tokens a `Sequence.rollback` may take back; 0 saves the snapshots.
        tenant: whose guests these are: workers are not shared with other tenants'.
    """

    def __init__(
        self,
        store: Any,
        vocabulary: Vocabulary,
        pool: Pool,
        *,
        batch: int = 64,
        biases: bool = False,
        keep: int = KEEP,
        tenant: str = "",
    ) -> None:
        self.vocabulary = vocabulary
        self.key = next(_keys)
        self.keep = keep
        self.guest_seconds = pool.guest_seconds
        self.rows = Rows.make(batch, vocabulary.size, biases=biases)
        self.board = Board.make(batch, len(pool.workers))
        self.ledger = Ledger(self.rows, self.board, vocabulary.eos)
        self._store = store
        self._pool = pool
        self._tenant = tenant
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._free = list(range(batch))
        self._numbers = itertools.count(1)
        self._live: dict[int, Sequence] = {}
        self._stations: dict[WorkerProcess, Station] = {}
        self._number = 0
        self._deadline = 0.0
        self._rung: list[Station] = []
        self._stepped: tuple[Sequence, ...] | None = None
        self._closed = False

    # ---- opening ----

    def open(
        self,
        module: Module | bytes | os.PathLike[str] | str,
        config: bytes | str = b"",
        prompt: Items[int] = (),
        *,
        on_failure: OnFailure = "stop",
        request: str = "",
        seconds: float = OPEN_SECONDS,
        memory_limit: int | None = None,
        wait: bool = True,
    ) -> Sequence:
        """Open a sequence: its guest is started, compiles its grammars and reads the prompt.

        None of this holds up steps. With `wait=False` it returns at once, and the sequence is
        suspended until it is ready.

        Args:
            module: Wasm, the path of a file, or what `Pool.module` returned.
            config: bytes that the guest may read.
            prompt: tokens.
            on_failure: what becomes of the sequence when its guest fails: "stop" lets the text
                end, "suspend" leaves it to the host, "free" goes on without constraint.
            request: sequences of one request share variables (and a worker).
            seconds: how long it may take.
            memory_limit: of the guest's own memory; the pool's by default.

        Raises:
            LimitReached: all rows are taken, or all workers are other tenants'.
            InvalidModule, InvalidGrammar, GuestError: the guest cannot be opened.
        """
        self._check_open()
        if on_failure not in ("stop", "suspend", "free"):
            raise InvalidArgument(f"on_failure={on_failure!r}; there are stop, suspend and free")
        text = config.encode() if isinstance(config, str) else config
        compiled = self._pool.module(module)
        tokens = self._tokens(prompt)
        limit = self._pool.memory_limit if memory_limit is None else memory_limit
        with self._lock:
            self.ledger.check(compiled, text)
            origin = Origin(compiled, text, request, seconds, limit)
            sequence = self._sit(origin, History(tokens), on_failure)
        try:
            self._place(sequence)
            if wait:
                sequence.wait()
        except BaseException:
            sequence.close()
            raise
        return sequence

    def _sit(self, origin: Origin, history: History, on_failure: OnFailure) -> Sequence:
        if not self._free:
            self._idle()  # frees rows that workers were late with
        if not self._free:
            raise LimitReached(
                f"all {self.rows.batch} rows are taken; close sequences, or raise batch="
            )
        row = heapq.heappop(self._free)
        sequence = Sequence(self, origin, history, row, next(self._numbers), on_failure)
        self._live[sequence.number] = sequence
        return sequence

    def _place(self, sequence: Sequence) -> None:
        station = self._station_of(sequence.origin.request)
        if station is None:
            worker = sequence.placed = self._pool.place(self._tenant)
            station = self._station(worker)
        sequence.station = station
        station.open(sequence)

    def _station_of(self, request: str) -> Station | None:
        with self._lock:
            for each in self._live.values():
                same = request and each.origin.request == request
                if same and each.station is not None and not each.station.lost:
                    return each.station
        return None

    def _station(self, worker: WorkerProcess) -> Station:
        with self._lock:
            self._check_open()
            station = self._stations.get(worker)
            if station is None:
                station = self._stations[worker] = Station(self, worker)
            return station

    def opened(self, sequence: Sequence, error: OnecopyError | None) -> None:
        """Note that a worker has opened a sequence; called by its station."""
        with self._lock:
            if sequence.awaited:
                self.ledger.opened(sequence, error)
                self._changed.notify_all()

    def recover(self, station: Station) -> None:
        """Have the sequences of a lost worker rebuilt elsewhere; called by its station.

        What ran when it died is to blame; if it died of something else, that is bad luck.
        """
        with self._lock:
            self._stations.pop(station.worker, None)
            blamed = station.blamed()
            mine = [each for each in self._live.values() if each.station is station]
            for each in mine:
                self._let_go(each, blamed)
            for row in station.freed:
                heapq.heappush(self._free, row)
            self._changed.notify_all()
        for each in mine:
            if each.state == SUSPENDED:
                self._rebuild(each)

    def _let_go(self, sequence: Sequence, blamed: set[int]) -> None:
        self.ledger.settle(sequence)
        sequence.station = None
        waited_for = sequence.asked or sequence.awaited
        if sequence.row in blamed and waited_for and sequence.state != FAILED:
            sequence.asked = 0
            self.ledger.fail(sequence, WorkerLost("its worker ended while its guest ran"))
        elif sequence.state not in (STOPPED, FAILED):
            self.ledger.lost(sequence)

    def _rebuild(self, sequence: Sequence) -> None:
        sequence.attempts += 1
        try:
            if sequence.attempts > _ATTEMPTS:
                raise WorkerLost(f"{_ATTEMPTS} workers ended before it was rebuilt")
            self._place(sequence)
        except OnecopyError as error:
            self.opened(sequence, error)

    def wait_for(self, sequence: Sequence, timeout: float | None) -> None:
        """See `Sequence.wait`."""
        with self._lock:
            if not self._changed.wait_for(lambda: not sequence.awaited, timeout):
                raise WaitTimeout(f"the sequence was not ready within {timeout:g} seconds")
            if sequence.state == FAILED and sequence.error is not None:
                raise sequence.error

    # ---- steps ----

    def step(self, appended: Mapping[Sequence, Items[int]]) -> Step:
        """Tell guests what was appended to their sequences; return what may come next.

        It returns after the pool's step_ms at the latest.

        Args:
            appended: tokens by sequence; none for the first step of a sequence, after a splice
                or a fork, and for one that is suspended.

        Raises:
            InvalidArgument: a token outside the vocabulary, a sequence that was closed, tokens
                for one that is suspended; then nothing was done.
        """
        self.begin(appended)
        return self.finish()

    def begin(self, appended: Mapping[Sequence, Items[int]]) -> None:
        """Do the first half of `step`: guests are at work when it returns, and so may the model be.

        The tensors of the last `Step` must not be in use any more.
        """
        self._check_open()
        if self._stepped is not None:
            raise InvalidArgument("the last step was begun and not finished; finish() it first")
        told = {each: self._checked(each, tokens) for each, tokens in appended.items()}
        with self._lock:
            self._deadline = time.monotonic() + self._pool.step_seconds
            rows = self._idle()
            self._number += 1
            for sequence, tokens in told.items():
                if tokens:
                    sequence.history.append(tokens)
                if self._may_ask(sequence) and sequence.station in rows:
                    self._ask(sequence)
                    rows[sequence.station].append(sequence)
            self._ring(rows)
            self._stepped = tuple(told)

    def _checked(self, sequence: Sequence, tokens: Items[int]) -> list[int]:
        if not isinstance(sequence, Sequence) or sequence.owner is not self:
            raise InvalidArgument(f"{sequence!r} is no sequence of these Controllers")
        if sequence.state == CLOSED:
            raise InvalidArgument(f"{sequence!r} cannot be stepped any more; open a new one")
        if len(tokens) and sequence.waiting and sequence.on_failure != "free":
            raise InvalidArgument(f"{sequence!r} is suspended: step it with no tokens")
        return self._tokens(tokens)

    def _tokens(self, tokens: Items[int]) -> list[int]:
        numbers = list(map(index, tokens))
        if numbers and not 0 <= min(numbers) <= max(numbers) < self.vocabulary.size:
            raise InvalidArgument(f"a token outside the vocabulary of {self.vocabulary.size}")
        return numbers

    def _idle(self) -> dict[Station | None, list[Sequence]]:
        rows: dict[Station | None, list[Sequence]] = {}
        for station in self._stations.values():
            if station.idle():
                rows[station] = []
                while station.freed:
                    heapq.heappush(self._free, station.freed.pop())
        return rows

    def _may_ask(self, sequence: Sequence) -> bool:
        if sequence.asked:
            self.ledger.settle(sequence)
        if sequence.answer is not None and sequence.history.pending:
            self.ledger.overtake(sequence)
        if len(sequence.history.pending) > MAX_TOKENS:
            self.ledger.fail(sequence, GuestError(f"more than {MAX_TOKENS} tokens at a time"))
        return sequence.state == READY and not sequence.asked and sequence.answer is None

    def _ask(self, sequence: Sequence) -> None:
        history = sequence.history
        rollback = history.take_back
        self.rows.show(sequence.row)
        self.board.ask(sequence.line, sequence.number, history.told(), rollback)
        sequence.asked = self._number

    def _ring(self, rows: dict[Station | None, list[Sequence]]) -> None:
        self._rung = []
        deadline = int(self._deadline * 1e9)
        for station, mine in rows.items():
            if station is None or not mine:
                continue
            if self.ledger.offences:
                mine = self._ordered(mine)
            self.board.call(station.slot, self._number, [each.row for each in mine], deadline)
            os.eventfd_write(station.bell, 1)
            self._rung.append(station)

    def _ordered(self, mine: list[Sequence]) -> list[Sequence]:
        return sorted(mine, key=self.ledger.offender)

    def finish(self) -> Step:
        """Do the second half of `step`: wait for guests, but not past step_ms from `begin`."""
        stepped, self._stepped = self._stepped, None
        if stepped is None:
            raise InvalidArgument("no step was begun; call begin() first")
        self._await(self._rung)
        with self._lock:
            outcomes = {sequence: self._outcome(sequence) for sequence in stepped}
            forking = [each for each in stepped if isinstance(each.answer, Forking)]
            if forking:
                outcomes.update(self._fork_all(forking))
            late = tuple(each for each in stepped if each.waiting or each.asked)
            return Step(self.rows, outcomes, late)

    def _outcome(self, sequence: Sequence) -> Answer:
        line, words = sequence.line, self.board.words
        if (
            sequence.asked == words[line + steps.ANSWERED]
            and words[line + steps.KIND] == control.MASK
            and sequence.asked
            and not sequence.stale
        ):  # nearly always
            sequence.asked = 0
            sequence.waiting = False
            sequence.steps += 1
            sequence.history.hearing = False
            sequence.seconds += self.board.nanoseconds_of(line) / 1e9
            if self.rows.hidden:
                self.rows.show(sequence.row)
            return ALLOWED
        return self.ledger.give(sequence)

    def _await(self, stations: Iterable[Station]) -> None:
        poll = select.poll()
        waiting = {station.done: station for station in stations}
        for fd in waiting:
            poll.register(fd, select.POLLIN)
        while True:
            for fd, station in list(waiting.items()):
                if station.lost or station.idle():
                    poll.unregister(fd)
                    del waiting[fd]
            left = self._deadline - time.monotonic()
            if not waiting or left <= 0:
                return
            for fd, _ in poll.poll(int(left * 1000)):
                os.eventfd_read(fd)

    # ---- forks, rollbacks, the end ----

    def _fork_all(self, forking: list[Sequence]) -> dict[Sequence, Answer]:
        rows = self._idle()
        self._number += 1
        families = {}
        for sequence in forking:
            answer = sequence.answer
            if sequence.station in rows and isinstance(answer, Forking):
                sequence.answer = None
                try:
                    families[sequence] = self._branch(sequence, answer.branches)
                    rows[sequence.station].append(sequence)
                except LimitReached as error:
                    self.ledger.fail(sequence, error)
        self._ring(rows)
        self._await(self._rung)
        return {each: self._forked(each, families.get(each, [])) for each in forking}

    def _forked(self, sequence: Sequence, others: list[Sequence]) -> Answer:
        for each in (sequence, *others):
            self.ledger.settle(each)
        if not others and (sequence.answer is not None or sequence.state == FAILED):
            return self.ledger.give(sequence)
        if sequence.state == FAILED:
            for each in others:
                each.close()
            return self.ledger.give(sequence)
        sequence.waiting = False
        return Fork((sequence, *others))

    def _branch(self, sequence: Sequence, branches: int) -> list[Sequence]:
        if branches - 1 > len(self._free):
            raise LimitReached(
                f"a fork into {branches}, and {len(self._free)} rows are free; raise batch="
            )
        history, origin = sequence.history, sequence.origin
        rollback, history.take_back = history.take_back, 0
        others = [self._sit(origin, each, sequence.on_failure) for each in history.fork(branches)]
        for each in others:
            each.state, each.station, each.asked = READY, sequence.station, self._number
        pairs = [(each.row, each.number) for each in others]
        self.board.ask_fork(sequence.line, sequence.number, pairs, rollback)
        sequence.asked = self._number
        return others

    def fork(self, sequence: Sequence, branches: int) -> list[Sequence]:
        """See `Sequence.fork`."""
        if not 1 <= branches <= MAX_BRANCHES:
            raise InvalidArgument(f"a fork has 1 to {MAX_BRANCHES} branches, not {branches}")
        self._check_between_steps()
        with self._lock:
            self.ledger.settle(sequence)
            if sequence.state not in (READY, SUSPENDED):
                raise GuestError(f"{sequence!r} cannot be forked")
            if sequence.state == SUSPENDED:
                return self._fork_lost(sequence, branches)
            rows = self._idle()
            if sequence.station not in rows:
                raise WaitTimeout("its worker is still busy; fork it after the next step")
            self._deadline = time.monotonic() + self._pool.step_seconds
            self._number += 1
            others = self._branch(sequence, branches)
            self._ring({sequence.station: [sequence]})
        self._await(self._rung)
        with self._lock:
            for each in (sequence, *others):
                self.ledger.settle(each)
        if sequence.error is not None:
            for each in others:
                each.close()
            raise sequence.error
        return [sequence, *others]

    def _fork_lost(self, sequence: Sequence, branches: int) -> list[Sequence]:
        """Fork what is being rebuilt: each branch is rebuilt by itself."""
        family = [sequence]
        for each in sequence.history.fork(branches):
            other = self._sit(sequence.origin, each, sequence.on_failure)
            other.state = SUSPENDED
            self._place(other)
            family.append(other)
        return family

    def roll_back(self, sequence: Sequence, count: int) -> None:
        """See `Sequence.rollback`."""
        self._check_between_steps()
        with self._lock:
            self.ledger.settle(sequence)
            history = sequence.history
            told = count - len(history.pending) + history.take_back
            if told > self.keep:
                raise InvalidArgument(
                    f"a rollback of {told} tokens that the guest was told of; raise keep= of "
                    f"Controllers, which is {self.keep}"
                )
            history.rollback(count)
            sequence.stale = bool(sequence.asked)
            if sequence.state == STOPPED:
                sequence.state = READY
            if count and sequence.state == READY:
                sequence.answer = None
                self._place_again(sequence)

    def _place_again(self, sequence: Sequence) -> None:
        """A sequence that had stopped was not rebuilt when its worker was lost."""
        if sequence.station is None:
            sequence.history.lost()
            sequence.state = SUSPENDED
            self._place(sequence)

    def logs_of(self, sequence: Sequence) -> list[tuple[int, str]]:
        """See `Sequence.logs`."""
        station = sequence.station
        if station is None or station.lost:
            return []
        try:
            message = sequences.AskLines(self.key, sequence.number)
            return list(station.worker.request(message).logs)
        except WorkerLost:
            return []

    def close_sequence(self, sequence: Sequence) -> None:
        """See `Sequence.close`."""
        with self._lock:
            if self._live.pop(sequence.number, None) is None:
                return
            self.ledger.settle(sequence)
            sequence.state = CLOSED
            station, busy = sequence.station, sequence.asked
            if busy:
                self.rows.hide(sequence.row)
            self.rows.allow_all(sequence.row)
            if station is not None and busy and not station.lost:
                station.freed.append(sequence.row)
            else:
                heapq.heappush(self._free, sequence.row)
            if station is not None:
                station.close_sequence(sequence.number)
            if sequence.placed is not None:
                self._pool.leave(sequence.placed)
                sequence.placed = None
            self._changed.notify_all()

    def close(self) -> None:
        """Close all sequences; tensors of steps stay valid. Twice is fine."""
        if self._closed:
            return
        for sequence in list(self._live.values()):
            sequence.close()
        self._closed = True
        for station in list(self._stations.values()):
            station.close()
        self.rows.close()
        self.board.close()

    def _check_open(self) -> None:
        if self._closed:
            raise GuestError("these Controllers were closed; make new ones")

    def _check_between_steps(self) -> None:
        if self._stepped is not None:
            raise InvalidArgument("a step is under way; finish() it first")

    def __enter__(self) -> Controllers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
