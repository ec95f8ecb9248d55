"""The engine's side of a batch: `Controllers` opens sequences, steps them and never waits long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import InvalidArgument, UnsupportedValue, WaitTimeout, WorkerLost
from onecopy.guests.batch import sequences
from onecopy.guests.batch.answers import Step
from onecopy.guests.batch.batch import Batch
from onecopy.guests.batch.crew import Crew
from onecopy.guests.batch.history import History
from onecopy.guests.batch.lender import LOGITS, VOCABULARY, checked
from onecopy.guests.batch.rollback import roll_back
from onecopy.guests.batch.rounds import Rounds
from onecopy.guests.batch.sequence import (
    CLOSED,
    Origin,
    Sequence,
    kind_of,
)
from onecopy.guests.batch.tokens import checked_tokens
from onecopy.guests.decoding.grammar_engine import check_engine
from onecopy.guests.decoding.outcome import MAX_BRANCHES

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence as Items

    from onecopy.guests.batch.answers import OnFailure
    from onecopy.guests.batch.lender import Shown
    from onecopy.guests.decoding.vocabulary import Vocabulary
    from onecopy.guests.wasm.module import Module
    from onecopy.guests.workers.pool import Pool

OPEN_SECONDS: Final = 10.0
"""What a guest may take to open, grammars that it compiles included."""
KEEP: Final = 16
"""Tokens that a rollback may take back."""


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
        store: whose entry `logits` may name; None if there are no logits.
        vocabulary: of the model; it outlives this.
        pool: whose workers run the guests, within its guest_ms and step_ms.
        batch: how many rows there are, and so sequences at a time.
        biases: whether `Step.biases` is wanted.
        logits: f32 `[batch, vocab]` whose rows own their pages (`guests.buffer`), or the name of
            such an entry; each guest sees its row as the window "logits", may write there, and may
            choose the token itself.
        keep: how many tokens a `Sequence.rollback` may take back; 0 saves the snapshots.
        branches: how many sequences a guest may make of the one that was opened, by its forks.
        grammar_engine: what compiles grammars: one of the pool's `grammar_engines`.
        tenant: whose guests these are: workers are not shared with other tenants'.

    Raises:
        UnsupportedValue: an engine of grammars that the pool's workers do not have.
        InvalidArgument: a batch of a size that there is not; logits of another shape.
        WindowRefused: logits that cannot be mapped as they are.
    """

    def __init__(
        self,
        store: Any,
        vocabulary: Vocabulary,
        pool: Pool,
        *,
        batch: int = 64,
        biases: bool = False,
        logits: Any = None,
        keep: int = KEEP,
        branches: int = MAX_BRANCHES,
        grammar_engine: str = "llguidance",
        tenant: str = "",
    ) -> None:
        pool.check_open()
        _check_engine(grammar_engine, pool)
        self.vocabulary = vocabulary
        self._pool = pool
        named = isinstance(logits, str)
        self.logits = store.load(logits, mode="shared") if named else logits
        """f32 `[batch, vocab]` that guests see the rows of; None if they see none."""
        self.batch = Batch.make(
            vocabulary,
            pool,
            batch,
            biases=biases,
            logits=self.logits,
            keep=keep,
            branches=branches,
            grammar_engine=grammar_engine,
        )
        self._crew = Crew(self.batch, pool, tenant)
        self._rounds = Rounds(self._crew, pool.step_seconds)
        self._stepped: tuple[Sequence, ...] | None = None

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
        windows: Mapping[str, Any] | None = None,
        copy: bool = False,
        rebuild: bool = True,
        wait: bool = True,
    ) -> Sequence:
        """Open a sequence: its guest is started, compiles its grammars and reads the prompt.

        None of this holds up steps. With `wait=False` it returns at once, and the sequence is
        suspended until it is ready.

        Args:
            module: Wasm, the path of a file, or what `Pool.module` returned: it compiles what
                was not compiled on this machine before, which has to be waited for.
            config: bytes that the guest may read.
            prompt: tokens.
            on_failure: what becomes of the sequence when its guest fails: "stop" lets the text
                end, "suspend" leaves it to the host, "free" goes on without constraint.
            request: sequences of one request share variables (and a worker).
            seconds: how long it may take.
            memory_limit: of the guest's own memory; the pool's by default.
            windows: of its own, by name: `(value, "r" | "rw")`, or a value to be read, as for
                `Guest`. Branches share them.
            copy: whether to copy what cannot be mapped, instead of refusing it.
            rebuild: whether another guest is told all that this one was told, should its worker
                die; else it fails then. For guests that remember what tokens do not tell.

        Raises:
            WindowRefused: a window that cannot be; nothing was opened.
            LimitReached: all rows are taken, or all workers are other tenants'.
            InvalidModule, InvalidGrammar, GuestError: the guest cannot be opened.
        """
        self._crew.check_open()
        if on_failure not in ("stop", "suspend", "free"):
            raise InvalidArgument(f"on_failure={on_failure!r}; there are stop, suspend and free")
        text = config.encode() if isinstance(config, str) else config
        compiled = self._pool.module(module)
        self.batch.ledger.check(kind_of(compiled, text))
        limit = self._pool.memory_limit if memory_limit is None else memory_limit
        history = History(checked_tokens(prompt, self.vocabulary.size), self._crew.order())
        shown, owners = self._show(windows or {}, copy)
        origin = Origin(compiled, text, request, seconds, limit, shown, owners, rebuild)
        try:
            sequence = self._crew.sit(self, origin, history, on_failure)
        finally:
            self._crew.leave_origin(origin)
        try:
            if wait:
                self._crew.place([sequence])
                sequence.wait()
            else:
                self._crew.place_soon([sequence])
        except BaseException:
            sequence.close()
            raise
        return sequence

    def _show(
        self, windows: Mapping[str, Any], copy: bool
    ) -> tuple[tuple[Shown, ...], tuple[object, ...]]:
        """Return what a sequence's windows show, and what owns it."""
        reserved = (VOCABULARY, LOGITS) if self.batch.logits else (VOCABULARY,)
        sources = checked(windows, copy=copy, reserved=reserved)
        owners = tuple(each.owner for each in sources.values())
        with self._crew.lock:
            return self._crew.lender.take(sources), owners

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
        self._check_between_steps()
        if not isinstance(appended, Mapping):
            raise UnsupportedValue(
                f"a step is a dict of sequences and their new tokens, not a "
                f"{type(appended).__name__}: {{sequence: []}} at first"
            )
        told = {each: self._checked(each, tokens) for each, tokens in appended.items()}
        self._rounds.ask(told)
        self._stepped = tuple(told)

    def finish(self) -> Step:
        """Do the second half of `step`: wait for guests, but not past step_ms from `begin`."""
        self._crew.check_open()
        stepped, self._stepped = self._stepped, None
        if stepped is None:
            raise InvalidArgument("no step was begun; call begin() first")
        outcomes = self._rounds.answers(stepped)
        late = tuple(each for each in outcomes if each.waiting or each.asked)
        return Step(self.batch.masks, outcomes, late, self._rounds.seconds)

    def _checked(self, sequence: Sequence, tokens: Items[int]) -> list[int]:
        if not isinstance(sequence, Sequence) or sequence.owner is not self:
            raise InvalidArgument(f"{sequence!r} is no sequence of these Controllers")
        if sequence.state == CLOSED:
            raise InvalidArgument(f"{sequence!r} cannot be stepped any more; open a new one")
        numbers = checked_tokens(tokens, self.vocabulary.size)
        if numbers and sequence.waiting and sequence.on_failure != "free":
            raise InvalidArgument(f"{sequence!r} is suspended: step it with no tokens")
        return numbers

    def _check_between_steps(self) -> None:
        self._crew.check_open()
        if self._stepped is not None:
            raise InvalidArgument("a step was begun and not finished; finish() it first")

    # ---- what sequences do ----

    def wait_for(self, sequence: Sequence, timeout: float | None) -> None:
        """See `Sequence.wait`."""
        self._crew.wait_for(sequence, timeout)

    def fork(self, sequence: Sequence, branches: int) -> list[Sequence]:
        """See `Sequence.fork`."""
        if not 1 <= branches <= MAX_BRANCHES:
            raise InvalidArgument(f"a fork has 1 to {MAX_BRANCHES} branches, not {branches}")
        self._check_between_steps()
        family = self._rounds.forks.fork(sequence, branches)
        if family is None:
            raise WaitTimeout("its worker is busy, or it is being rebuilt; wait() for it and fork")
        return family

    def roll_back(self, sequence: Sequence, count: int) -> None:
        """See `Sequence.rollback`."""
        self._check_between_steps()
        with self._crew.lock:
            roll_back(self._crew, sequence, count)

    def logs_of(self, sequence: Sequence) -> list[tuple[int, str]]:
        """See `Sequence.logs`."""
        station = sequence.station
        if station is None or station.lost or sequence.state == CLOSED:
            return []
        try:
            message = sequences.AskLines(self.batch.key, sequence.number)
            return list(station.worker.request(message).logs)
        except WorkerLost:
            return []

    def close_sequence(self, sequence: Sequence) -> None:
        """See `Sequence.close`."""
        self._crew.close_sequence(sequence)

    def close(self) -> None:
        """Close all sequences; tensors of steps stay valid. Twice is fine."""
        self._crew.close()
        self.batch.close()

    def __enter__(self) -> Controllers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_engine(name: str, pool: Pool) -> None:
    check_engine(name)
    if name not in pool.grammar_engines:
        raise UnsupportedValue(
            f"workers of this pool have no {name}, and cannot import it any more; make the pool "
            f'with grammar_engines=("llguidance", "{name}")'
        )
