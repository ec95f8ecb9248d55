"""Writes the record of one run while it runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from onecopy.agents.calls import Call, Reply
from onecopy.agents.event import Event
from onecopy.agents.outcome import OK, Outcome
from onecopy.agents.records.ledger import day_of, write
from onecopy.agents.records.packing import packed, plain, redacted
from onecopy.agents.records.run import CALL, LOG, STEP, USAGE, Totals

if TYPE_CHECKING:
    from onecopy.agents.records.records import Shared

ITEM: Final = 16 << 20  # bytes of JSON of one call, with its reply
WHOLE: Final = 128 << 20  # of all calls of a run
TEXT: Final = 16 << 10  # characters of a line or a name

_RUN = """
INSERT INTO runs (id, event, agent, trigger, kind, subject, attempt, component, seed, time_ns,
                  given, started, owner) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ITEM = "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SUMS = "UPDATE runs SET calls = ?, input_tokens = ?, output_tokens = ?, usd = ? WHERE n = ?"
_END = "UPDATE runs SET ended = ?, status = ?, outcome = ?, inexact = ? WHERE n = ?"


class Begun(NamedTuple):
    """What is known of a run when it begins."""

    id: str
    event: Event
    component: str
    seed: bytes
    time_ns: int
    started: float


class Sums(NamedTuple):
    """What a run has used so far."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0


class Recorder:
    """Takes down what happens in one run; `Records.begin` makes it.

    Nothing here waits for the disk or fails with it: what cannot be written is missing in the
    record, which says so, and the run goes on. All texts are redacted before they are kept.
    """

    def __init__(self, begun: Begun, shared: Shared) -> None:
        self.id = begun.id
        self._begun = begun
        self._agent = begun.event.agent
        self._shared = shared
        self._seq = 0
        self._size = 0
        self._sums = Sums()
        self._inexact = ""
        self._given = self._json(plain(begun.event))
        self._post(_nothing)

    def call(self, call: Call, reply: Reply, started: float, seconds: float) -> None:
        """A call was answered.

        `log.write` and `log.step` are lines of the log and steps; they count as no calls.

        Args:
            call: What the guest asked for.
            reply: What it got; its `time_ns` is the clock that a replay shows.
            started: When, in seconds since 1970.
            seconds: How long it took.
        """
        match call.name, call.arguments:
            case "log.write", [str(level), str(text)]:
                self.log(level, text, started)
            case "log.step", [str(name)]:
                self.step(name, started)
            case _:
                self._called(call, reply, started, seconds)

    def _called(self, call: Call, reply: Reply, started: float, seconds: float) -> None:
        self._sums = self._sums._replace(calls=self._sums.calls + 1)
        self._count(calls=1)
        body = self._body(call, reply)
        size = len(body or b"")
        self._size += size
        if size > ITEM or self._size > WHOLE or self._shared.is_behind():
            self._note(f"{call.name[:TEXT]} with {size:,} bytes was too much for the record")
            body = None
        error = "" if reply.error is None else reply.error.code
        self._add(CALL, started, seconds, call.name[:TEXT], body, error, size)

    def _body(self, call: Call, reply: Reply) -> bytes | None:
        try:
            return self._json([plain(call), plain(reply)])
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            # Of a worker that its guest has taken over: no component can say such a thing.
            self._note(f"{call.name[:TEXT]} is no JSON ({error})")
            return None

    def log(self, level: str, text: str, at: float | None = None) -> None:
        """A line of the log, of the guest or about it."""
        self._text(LOG, level, text, at)

    def step(self, name: str, at: float | None = None) -> None:
        """A named part of the run begins."""
        self._text(STEP, name, None, at)

    def _text(self, sort: str, name: str, text: str | None, at: float | None) -> None:
        body = self._json(None if text is None else text[:TEXT])
        self._add(sort, self._now() if at is None else at, 0.0, name[:TEXT], body)

    def usage(
        self, model: str, input_tokens: int, output_tokens: int, usd: float = 0.0, **more: Any
    ) -> None:
        """A call of an LLM was paid for; it counts in today's totals at once.

        `more` are further facts, such as `estimated=True`.
        """
        used = {"input_tokens": input_tokens, "output_tokens": output_tokens, "usd": usd}
        sums = self._sums
        self._sums = Sums(
            sums.calls, sums.input_tokens + input_tokens, sums.output_tokens + output_tokens,
            sums.usd + usd,
        )  # fmt: skip
        self._count(**used)
        self._add(USAGE, self._now(), 0.0, model, self._json({**used, **more}))

    def end(self, outcome: Outcome) -> None:
        """The run has ended."""
        ended, given = self._now(), self._json(plain(outcome))
        self._count(runs=1, failed=int(outcome.status != OK))

        def act(db: sqlite3.Connection, n: int) -> None:
            # What could not be written before this is known by now: jobs keep their order.
            values = (ended, outcome.status, packed(given), self._inexact, n)
            db.execute(_END, values)

        self._post(act, urgent=True)

    def _add(
        self, sort: str, at: float, seconds: float, name: str, body: bytes | None,
        error: str = "", size: int | None = None,
    ) -> None:  # fmt: skip
        self._seq += 1
        seq, name = self._seq, self._shared.redact(name)
        nbytes = len(body or b"") if size is None else size

        def act(db: sqlite3.Connection, n: int) -> None:
            blob = None if body is None else packed(body)
            db.execute(_ITEM, (n, seq, sort, at, seconds, name, error, nbytes, blob))

        self._post(act, len(body or b""))

    def _post(
        self, act: Callable[[sqlite3.Connection, int], None], size: int = 0, urgent: bool = False
    ) -> None:
        sums, owed = self._sums, self._shared.ledger.take()

        def whole(db: sqlite3.Connection) -> None:
            n = self._row(db)
            act(db, n)
            db.execute(_SUMS, (*sums, n))
            write(db, owed)

        def failed(error: BaseException) -> None:
            self._shared.ledger.put_back(owed)
            self._note(f"a part could not be written: {error}")

        self._shared.post(whole, size, urgent, failed)

    def _row(self, db: sqlite3.Connection) -> int:
        """The number of the run's row, which is made if the disk was full when the run began."""
        row = db.execute("SELECT n FROM runs WHERE id = ?", (self.id,)).fetchone()
        if row is None:
            run, event, component, seed, time_ns, started = self._begun
            row = db.execute(
                f"{_RUN} RETURNING n",
                (run, event.id, event.agent, event.trigger, event.kind, event.subject,
                 event.attempt, component, seed, time_ns, packed(self._given), started,
                 self._shared.seat.number),
            ).fetchone()  # fmt: skip
        return int(row[0])

    def _note(self, why: str) -> None:
        self._inexact = self._inexact or why

    def _count(self, **more: Any) -> None:
        self._shared.ledger.add(Totals(day_of(self._now()), self._agent, **more))

    def _now(self) -> float:
        return self._shared.clock()

    def _json(self, value: Any) -> bytes:
        text = msgspec.json.encode(value)
        whole = text.decode()
        if self._shared.redact(whole) == whole:  # mostly: one look at all of it is far faster
            return text
        safe = redacted(value, self._shared.redact)
        if safe != value:
            self._note("secrets were taken out")
        return msgspec.json.encode(safe)


def _nothing(*_: Any) -> None:
    """What follows from a run's begin, beside its row."""
