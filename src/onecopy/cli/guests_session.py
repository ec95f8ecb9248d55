"""A controller that is fed by hand: what each call led to, as values that stay."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from onecopy.cli.guests_script import CHOSEN, Word
from onecopy.errors import GuestError, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onecopy.cli.guests_script import Line, Piece
    from onecopy.guests.decoding.controller import Controller
    from onecopy.guests.decoding.grammars import Grammars
    from onecopy.guests.decoding.vocabulary import Vocabulary

_MOST_SPLICES: Final = 100


@dataclass(frozen=True)
class Allowed:
    """Which tokens may come next."""

    bits: int
    """Bit i is set if token i may come."""
    biases: dict[int, float]

    def __contains__(self, token: object) -> bool:
        return isinstance(token, int) and bool(self.bits >> token & 1)

    @property
    def count(self) -> int:
        """How many may come."""
        return self.bits.bit_count()

    def first(self, count: int) -> Iterator[int]:
        """Yield the first of them."""
        rest = self.bits
        while rest and count:
            lowest = rest & -rest
            yield lowest.bit_length() - 1
            rest ^= lowest
            count -= 1


class Refused(NamedTuple):
    """The script feeds what the step before did not allow."""

    token: int


class Failed(NamedTuple):
    """The guest failed."""

    error: GuestError


def is_edit(outcome: Any) -> bool:
    """Return whether an outcome is carried out before the script goes on: a splice or a fork."""
    from onecopy.guests.decoding.outcome import Fork, Splice

    return isinstance(outcome, Splice | Fork)


class Seen(NamedTuple):
    """One call: what was fed, what came of it, how long it took, and what the guest said."""

    fed: tuple[int, ...]
    outcome: Any
    """`Allowed`, `Refused`, `Failed`, None, or what `guests.decoding.outcome` has but `Mask`."""
    seconds: float
    branch: int = 0


class Session:
    """Feeds one controller; not to be used after it failed or stopped."""

    def __init__(
        self, controller: Controller, vocabulary: Vocabulary, grammars: Grammars, seconds: float
    ) -> None:
        self.controller = controller
        self.vocabulary = vocabulary
        self._grammars = grammars
        self._seconds = seconds
        self.outcome: Any = None

    def tokens(self, pieces: Sequence[Piece]) -> list[int]:
        """Return the tokens of texts, numbers and words."""
        return [token for piece in pieces for token in self._tokens(piece)]

    def _tokens(self, piece: Piece) -> list[int]:
        if isinstance(piece, Word):
            return [self._chosen() if piece == CHOSEN else self.vocabulary.eos]
        if isinstance(piece, str):
            return self._grammars.tokenize(piece.encode())
        token = int(piece)
        if token != piece or not 0 <= token < self.vocabulary.size:
            raise InvalidArgument(
                f"{piece} is no token: the vocabulary has {self.vocabulary.size}, from 0"
            )
        return [token]

    def _chosen(self) -> int:
        from onecopy.guests.decoding.outcome import Choose

        if not isinstance(self.outcome, Choose):
            raise InvalidArgument(f"`{CHOSEN}`, but the controller did not choose a token")
        return self.outcome.token

    def open(self, prompt: str) -> Iterator[Seen]:
        """Call init_prompt, then mid_process for the first time."""
        from onecopy.guests.decoding.outcome import Splice

        tokens = tuple(self.tokens([prompt]) if prompt else [])
        seen = self._timed(tokens, lambda: self.controller.init_prompt(tokens, self._seconds))
        self.outcome = seen.outcome
        yield seen
        if seen.outcome is None:
            yield from self._step(())
        elif isinstance(seen.outcome, Splice):
            yield from self._step(seen.outcome.tokens)

    def feed(self, line: Line) -> Iterator[Seen]:
        """Do what a line says."""
        if line.rollback:
            self.controller.rollback(line.rollback)
            yield from self._step(())
            return
        tokens = self.tokens(line.feed)
        for part in [tokens] if line.at_once else [[token] for token in tokens]:
            token = part[0] if part else None
            if token is not None and not line.at_once and not self._may_come(token):
                yield Seen((token,), Refused(token), 0.0)
                return
            yield from self._step(tuple(part))
            if isinstance(self.outcome, Failed):
                return

    def _may_come(self, token: int) -> bool:
        from onecopy.guests.decoding.outcome import Choose, Stop

        match self.outcome:
            case Allowed():
                return token in self.outcome
            case Choose():
                return token == self.outcome.token
            case Stop() | Failed():
                return False
        return True

    def _step(self, tokens: tuple[int, ...]) -> Iterator[Seen]:
        from onecopy.guests.decoding.outcome import Fork, Splice

        for _ in range(_MOST_SPLICES):
            seen = self._call(self.controller, tokens)
            self.outcome = seen.outcome
            yield seen
            match seen.outcome:
                case Splice():
                    tokens = seen.outcome.tokens
                case Fork():
                    yield from self._fork(seen.outcome.branches)
                    return
                case _:
                    return
        raise InvalidArgument(f"the controller spliced {_MOST_SPLICES} times in a row")

    def _fork(self, count: int) -> Iterator[Seen]:
        """Step each branch once; the script goes on with branch 0."""
        for number, branch in enumerate(self.controller.fork(count)):
            seen = self._call(branch, ())._replace(branch=number)
            yield seen
            if number:
                branch.close()
            else:
                self.outcome = seen.outcome

    def _call(self, controller: Controller, tokens: tuple[int, ...]) -> Seen:
        from onecopy.guests.wasm.engine import ticker, ticks

        with ticker.running():
            seen = self._timed(tokens, lambda: controller.step(tokens, ticks(self._seconds)))
        return seen if isinstance(seen.outcome, Failed) else self._settled(controller, seen)

    def _timed(self, tokens: tuple[int, ...], call: Any) -> Seen:
        start = time.perf_counter()
        try:
            outcome = call()
        except GuestError as error:
            outcome = Failed(error)
        seconds = time.perf_counter() - start
        return Seen(tokens, self._kept(outcome), seconds)

    def _settled(self, controller: Controller, seen: Seen) -> Seen:
        """Do what an engine does between steps."""
        try:
            controller.settle()
        except GuestError as error:
            return seen._replace(outcome=Failed(error))
        return seen

    def _kept(self, outcome: Any) -> Any:
        """Return an outcome that does not look into the guest's memory."""
        from onecopy.guests.decoding.outcome import Mask

        if not isinstance(outcome, Mask):
            return outcome
        words = (self.vocabulary.size + 31) // 32
        row = (ctypes.c_uint32 * words)()
        try:
            outcome.write(ctypes.addressof(row), words)
        except GuestError as error:
            return Failed(error)
        tokens, biases = (each.tolist() for each in outcome.biases())
        return Allowed(int.from_bytes(row, "little"), dict(zip(tokens, biases, strict=True)))
