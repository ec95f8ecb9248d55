"""The step board: what the engine asks of its workers, and what they answer, in shared memory.

The engine writes its part, rings the worker's `bell` once for all rows of a step, and the worker
rings `done` once when it has answered them all. A part is written only while the other side does
not read it, and its number last: x86 and the system call between keep that order.

All fields are 32-bit words, little endian. Per worker one page, its *slot*:

| word | who | field |
|---|---|---|
| 0 | engine | number of the step that was rung for |
| 1 | engine | how many rows it has |
| 2 | worker | number of the step that was finished last |
| 3 | worker | the row whose guest runs in a step, plus 1; 0 = none |
| 4 | worker | the sequence whose guest is being opened; 0 = none |
| 6, 7 | engine | when its time ends: nanoseconds of the monotonic clock |
| 64 … | engine | the rows, in the order in which they are to run |

Per row one *line* of 16 KiB; its two halves are pages of their own:

| word | who | field |
|---|---|---|
| 0 | engine | the sequence in this row |
| 1 | engine | tokens that the guest is to take back first (`Controller.rollback`) |
| 2 | engine | how many tokens were appended since |
| 3 | engine | whether the guest is called (1), or only forked (0) |
| 4 | engine | into how many branches it is forked first; 0 = it is not |
| 8 … | engine | the tokens; for a fork, of each branch but the first: its row and its sequence |
| 2048 | worker | number of the step that was answered last |
| 2049 | worker | kind of the answer, see below |
| 2050 | worker | tokens to take back, branches, or the token chosen |
| 2051 | worker | how many words, or bytes of text, follow |
| 2052 | worker | for a failure: which, an index into `FAILURES` |
| 2054, 2055 | worker | the time it took, nanoseconds |
| 2064 … | worker | the tokens to append, or the text of a failure |

The kinds are those of `control`, and `FAILED`.

A sequence may be closed while it is opened, and its row is somebody else's then: in another worker
perhaps, which answers steps there. So what a worker says of those that it opens has a place of its
own, for each worker and row: the same as the second half of a line, and

| word | who | field |
|---|---|---|
| 2056 | worker | the sequence that was opened here last, or failed to |
"""

from __future__ import annotations

import os
import struct
from array import array
from itertools import chain
from typing import TYPE_CHECKING, Final

from onecopy import errors
from onecopy.errors import InvalidArgument
from onecopy.segments.mapping import map_fd
from onecopy.segments.region import create, seal

if TYPE_CHECKING:
    from collections.abc import Sequence

FAILED: Final = 6
"""The kind of an answer that is none: the guest failed, and is not called again."""

MAX_TOKENS: Final = 1904
"""The most tokens that one step appends, or a guest splices in."""

STEP, COUNT, FINISHED, RUNNING, OPENING, DEADLINE, ROWS = 0, 1, 2, 3, 4, 6, 64
"""Words of a slot."""

SEQUENCE, ROLLBACK, APPENDED, CALL, FORK, BRANCHES, TOKENS = 0, 1, 2, 3, 4, 8, 8
ANSWERED, KIND, NUMBER, LENGTH, FAILURE, TOOK = 2048, 2049, 2050, 2051, 2052, 2054
OPENED, ANSWER = 2056, 2064
"""Words of a line."""

FAILURES: Final[tuple[type[errors.OnecopyError], ...]] = (
    errors.GuestError,
    errors.GuestTrapped,
    errors.GuestTimeout,
    errors.GuestMemoryExceeded,
    errors.GuestMisbehaved,
    errors.InvalidArgument,
    errors.InvalidGrammar,
    errors.InvalidModule,
    errors.UnsupportedValue,
    errors.WindowRefused,
    errors.LimitReached,
)

_ASKED: Final = struct.Struct("<5I12xI")
_SLOT: Final = 1024
_LINE: Final = 4096
_HALF: Final = 2048
_TEXT: Final = 2000


class Board:
    """The board, mapped into this process: `words` is all of it; see `line` and `slot`."""

    def __init__(self, fd: int, batch: int, workers: int) -> None:
        self.fd = fd
        self.batch = batch
        self.workers = workers
        self._openings = workers * _SLOT + batch * _LINE
        self._bytes = map_fd(fd, _nbytes(batch, workers), "shared").view()
        self.words = self._bytes.cast("I")
        self.wide = self._bytes.cast("Q")

    @classmethod
    def make(cls, batch: int, workers: int) -> Board:
        """Make a board on which nothing was asked yet."""
        fd = create("onecopy-board", _nbytes(batch, workers))
        seal(fd, mutable=True)
        return cls(fd, batch, workers)

    def slot(self, worker: int) -> int:
        """Return the first word of a worker's slot."""
        return worker * _SLOT

    def line(self, row: int) -> int:
        """Return the first word of a row's line."""
        return self.workers * _SLOT + row * _LINE

    def opening(self, worker: int, row: int) -> int:
        """Return where a worker says how it opened a sequence: a line with its half alone."""
        return self._openings + (worker * self.batch + row) * _HALF - (_LINE - _HALF)

    # ---- the engine's half ----

    def ask(self, line: int, sequence: int, tokens: Sequence[int], rollback: int = 0) -> None:
        """Write what a row's guest is to be told; the caller has checked the tokens."""
        count = len(tokens)
        first = tokens[0] if count else 0
        # One token in each step is what nearly all have: one store, into one line of the cache.
        _ASKED.pack_into(self._bytes, line << 2, sequence, rollback, count, 1, 0, first)
        if count > 1:
            self._put(line + TOKENS, tokens)

    def _put(self, start: int, values: Sequence[int]) -> None:
        self.words[start : start + len(values)] = memoryview(array("I", values))

    def ask_fork(
        self, line: int, sequence: int, branches: Sequence[tuple[int, int]], rollback: int = 0
    ) -> None:
        """Write which rows and sequences a row's guest is to be forked into, besides its own."""
        words = self.words
        words[line] = sequence
        words[line + ROLLBACK] = rollback
        words[line + CALL] = 0
        words[line + FORK] = 1 + len(branches)
        self._put(line + BRANCHES, list(chain.from_iterable(branches)))

    def branches(self, line: int) -> list[tuple[int, int]]:
        """Return the rows and sequences of the branches but for the first."""
        count = self.words[line + FORK] - 1
        pairs = self.words[line + BRANCHES : line + BRANCHES + 2 * count].tolist()
        return list(zip(pairs[::2], pairs[1::2], strict=True))

    def call(self, slot: int, step: int, rows: Sequence[int], deadline: int = 0) -> None:
        """Write which rows a worker is to run; the caller rings the bell."""
        words = self.words
        self.wide[(slot + DEADLINE) >> 1] = deadline
        self._put(slot + ROWS, rows)
        words[slot + COUNT] = len(rows)
        words[slot] = step

    def tokens_of(self, line: int) -> list[int]:
        """Return the tokens that a guest wants appended."""
        start = line + ANSWER
        return self.words[start : start + min(self.words[line + LENGTH], MAX_TOKENS)].tolist()

    def failure_of(self, line: int) -> errors.OnecopyError:
        """Return what a guest failed with."""
        start = 4 * (line + ANSWER)
        text = bytes(self._bytes[start : start + min(self.words[line + LENGTH], _TEXT)])
        kind = self.words[line + FAILURE]
        return FAILURES[kind if kind < len(FAILURES) else 0](text.decode(errors="replace"))

    def nanoseconds_of(self, line: int) -> int:
        """Return how long the guest took."""
        return self.wide[(line + TOOK) // 2]

    # ---- the worker's half ----

    def appended(self, line: int) -> list[int]:
        """Return the tokens that were appended since the last step."""
        start = line + TOKENS
        return self.words[start : start + self.words[line + APPENDED]].tolist()

    def answer(self, line: int, kind: int, number: int = 0, tokens: Sequence[int] = ()) -> None:
        """Write what a guest wants; the caller writes `ANSWERED` afterwards.

        Raises:
            InvalidArgument: more tokens than a line has room for.
        """
        if len(tokens) > MAX_TOKENS:
            raise InvalidArgument(f"a guest splices in at most {MAX_TOKENS} tokens at a time")
        words = self.words
        words[line + KIND] = kind
        words[line + NUMBER] = number
        words[line + LENGTH] = len(tokens)
        if tokens:
            self._put(line + ANSWER, tokens)

    def answer_failure(self, line: int, error: BaseException) -> None:
        """Write that and why a guest failed."""
        kinds = [i for i, kind in enumerate(FAILURES) if isinstance(error, kind)]
        text = str(error).encode()[:_TEXT]
        start = 4 * (line + ANSWER)
        self._bytes[start : start + len(text)] = text
        words = self.words
        words[line + FAILURE] = max(kinds, default=0)
        words[line + LENGTH] = len(text)
        words[line + KIND] = FAILED

    def close(self) -> None:
        """Close the segment; the mapping goes with the last reference to it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _nbytes(batch: int, workers: int) -> int:
    return 4 * (workers * _SLOT + batch * _LINE + workers * batch * _HALF)
