"""A sequence of a batch, as its host sees it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from onecopy.errors import GuestError

if TYPE_CHECKING:
    from onecopy.errors import OnecopyError
    from onecopy.guests.batch.answers import Answer, OnFailure
    from onecopy.guests.batch.controllers import Controllers
    from onecopy.guests.batch.history import History, Usage
    from onecopy.guests.batch.ledger import Forking
    from onecopy.guests.batch.lender import Shown
    from onecopy.guests.batch.station import Station
    from onecopy.guests.wasm.module import Module
    from onecopy.guests.workers.remote import WorkerProcess

OPENING: Final = "opening"
READY: Final = "ready"
SUSPENDED: Final = "suspended"
STOPPED: Final = "stopped"
FAILED: Final = "failed"
CLOSED: Final = "closed"


Kind = tuple[str, bytes]
"""Which guests are alike: the digest of their module, and a hash of their configuration."""


def kind_of(module: Module, config: bytes) -> Kind:
    """Return what offences are counted by; they are kept, and configurations may be long."""
    return module.digest, hashlib.sha256(config).digest()


class Origin:
    """What a sequence is opened with, and opened again if its worker dies."""

    __slots__ = (
        *("config", "kind", "memory_limit", "module", "request", "seconds"),
        *("owners", "rebuild", "users", "windows"),
    )

    def __init__(
        self,
        module: Module,
        config: bytes,
        request: str,
        seconds: float,
        memory_limit: int,
        windows: tuple[Shown, ...] = (),
        owners: tuple[object, ...] = (),
        rebuild: bool = True,
    ) -> None:
        self.module = module
        self.config = config
        self.kind = kind_of(module, config)
        self.request = request
        """Sequences of one request share variables, and so a worker."""
        self.seconds = seconds
        """How long opening it may take."""
        self.memory_limit = memory_limit
        self.windows = windows
        """Of its own, in segments that the batch's `Lender` has open."""
        self.owners = owners
        """What its windows show is not to be used for something else meanwhile."""
        self.rebuild = rebuild
        """Whether it is opened again when its worker is lost, and told what it was told."""
        self.users = 1
        """Sequences that go back to it, and who makes the first."""


class Sequence:
    """One sequence under its controller; made by `Controllers.open` and by forks.

        sequence = controllers.open("veto.wasm", schema, prompt)
        step = controllers.step({sequence: []})
        step.mask[sequence.row]                    # which tokens may come next

    Its methods are for the thread that steps, between steps.
    """

    __slots__ = (
        *("row", "number", "on_failure", "state", "error", "seconds", "steps"),
        *("owner", "history", "origin", "station", "asked", "line", "answer", "stale"),
        *("placed", "waiting", "attempts", "suspected"),
    )

    def __init__(
        self,
        owner: Controllers,
        origin: Origin,
        history: History,
        row: int,
        number: int,
        on_failure: OnFailure,
    ) -> None:
        self.row = row
        """Its row in the mask and in the biases."""
        self.number = number
        """Unlike rows, never used twice."""
        self.on_failure = on_failure
        self.state = OPENING
        """opening, ready, suspended, stopped, failed or closed."""
        self.error: OnecopyError | None = None
        """Why it failed."""
        self.seconds = 0.0
        """Time that its guest took in steps, what it called included."""
        self.steps = 0
        """Calls of its guest that were answered."""
        self.origin = origin
        self.station: Station | None = None
        self.line = owner.batch.board.line(row)
        self.asked = 0
        """The step that it was asked in, and has not answered yet; 0 = none."""
        self.answer: Answer | Forking | None = None
        """An answer that came too late for its step, and is given with the next one."""
        self.stale = False
        """What it is about to answer was asked before a rollback."""
        self.waiting = False
        """The host was told last that there is no answer yet."""
        self.attempts = 0
        """How often it was rebuilt since it was ready last."""
        self.suspected = 0
        """How many workers ended while they ran its guest, for a reason that nobody knows."""
        self.placed: WorkerProcess | None = None
        """Where the pool counts it."""
        self.owner = owner
        """Whose it is."""
        self.history = history
        """What it was told; changed by `Controllers` alone."""

    @property
    def tokens(self) -> list[int]:
        """The text: prompt, what was appended, what the guest spliced in. A copy."""
        return list(self.history.tokens)

    @property
    def usage(self) -> Usage:
        """How many tokens it took so far: `prompt`, `appended`, `spliced` and `taken_back`.

        Of a branch, those since it was forked off: so those of a family add up.
        """
        return self.history.usage

    @property
    def awaited(self) -> bool:
        """Whether its guest is being opened or rebuilt."""
        return self.state in (OPENING, SUSPENDED)

    @property
    def logs(self) -> list[tuple[int, str]]:
        """The last lines that its guest logged: levels as in `logging`, and texts."""
        return self.owner.logs_of(self)

    def rollback(self, count: int) -> None:
        """Forget the last `count` tokens: the guest's memory is as it was before them.

        For tokens that the host takes back, as in speculative decoding; a guest that takes tokens
        back itself (`Splice`) keeps its memory. The guest is told with the next step.

        Raises:
            InvalidArgument: more than there are since the prompt or the guest's last splice, or to
                more than the `keep` of `Controllers` before the furthest it was told of.
        """
        self._check_open()
        self.owner.roll_back(self, count)

    def fork(self, branches: int = 2) -> list[Sequence]:
        """Go on as several; return them, this one first. They share all that was until now.

        Raises:
            LimitReached: the batch has not so many free rows.
            InvalidArgument: it was late with an answer that no step has given yet, and that is no
                mask.
            WaitTimeout: it is late or being rebuilt, and did not get ready within step_ms.
        """
        self._check_open()
        return self.owner.fork(self, branches)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it is opened, or rebuilt after its worker died.

        Raises:
            WaitTimeout: it was not in `timeout` seconds.
            OnecopyError: what it failed with.
        """
        self.owner.wait_for(self, timeout)

    def close(self) -> None:
        """End it and free its row, which allows everything from then on; twice is fine."""
        self.owner.close_sequence(self)

    def _check_open(self) -> None:
        if self.state == CLOSED:
            raise GuestError("this sequence was closed; open a new one")

    def __enter__(self) -> Sequence:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Sequence {self.number} in row {self.row}, {self.state}>"
