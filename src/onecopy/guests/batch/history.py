"""What a sequence was told, so that another worker can tell it again.

A guest decides the same if it is told the same in the same portions: that is what the settings of
the engine are for. So a sequence whose worker died is rebuilt from its *calls*, each a tuple of the
tokens appended before it. Branches are calls of another kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence


class Branch(NamedTuple):
    """The sequence became one of several, `number` from 0; branch 0 is the one that was."""

    number: int
    branches: int


class Usage(NamedTuple):
    """Tokens of one sequence; of a branch, those since it was forked off."""

    prompt: int
    appended: int
    """By the host: sampled, or what the guest chose."""
    spliced: int
    """Appended by the guest."""
    taken_back: int
    """By a splice of the guest or a rollback of the host."""


Call = tuple[int, ...] | Branch


class History:
    """The prompt, the text so far, and the calls that led there."""

    def __init__(self, prompt: Sequence[int], root: int = 0) -> None:
        self.root = root
        """Names the opening that it goes back to: branches have the same."""
        self.prompt = tuple(prompt)
        self.tokens = list(prompt)
        """The text: prompt, appended tokens, what guests spliced in."""
        self.calls: list[Call] = []
        self.orders: list[int] = []
        """Of each call, when it was made: sequences of a request are told in the same order again.

        A call that several branches go back to has the same number in each.
        """
        self.chosen: dict[int, int] = {}
        """The tokens that the guest chose itself, by the numbers of the calls."""
        self.pending: list[int] = []
        """Appended, but not told to the guest yet."""
        self.take_back = 0
        """Tokens that the guest has been told, and that are no longer in the text."""
        self.again: list[int] = []
        """What the guest will tell itself again with the next call: a rollback cut a call short."""
        self.hearing = False
        """Whether the guest was called, and has not answered yet."""
        self.appended = self.spliced = self.taken_back = 0
        """Tokens so far; see `Usage`."""
        self._given = len(prompt)
        self._reach = 0
        self._furthest = len(prompt)

    @property
    def usage(self) -> Usage:
        """How many tokens there were, whatever became of them."""
        return Usage(self._given, self.appended, self.spliced, self.taken_back)

    def append(self, tokens: Sequence[int]) -> None:
        """Add tokens of the host."""
        self.tokens += tokens
        self.pending += tokens
        self._reach += len(tokens)
        self.appended += len(tokens)

    def told(self, order: int = 0) -> list[int]:
        """Note that the guest is called with all that is pending; return it."""
        pending, self.pending = self.pending, []
        self.calls.append((*self.again, *pending) if self.again else tuple(pending))
        self.orders.append(order)
        self.again.clear()
        self.take_back = 0
        self.hearing = True
        self._furthest = max(self._furthest, len(self.tokens))
        return pending

    def chose(self, token: int) -> None:
        """Note that the guest chose a token itself when it was called last."""
        self.chosen[self.orders[-1]] = token

    def splice(self, backtrack: int, tokens: Sequence[int]) -> None:
        """Edit the text as the guest wants; the guest is told of the tokens, not of the rest.

        Raises:
            InvalidArgument: it wants back more than there is.
        """
        if backtrack > len(self.tokens):
            raise InvalidArgument(
                f"the guest takes {backtrack} tokens back, and there are {len(self.tokens)}"
            )
        if backtrack:
            del self.tokens[-backtrack:]
        self.tokens += tokens
        self.pending += tokens
        self._reach = len(tokens)
        self.spliced += len(tokens)
        self.taken_back += backtrack

    def rollback(self, count: int) -> None:
        """Forget the last tokens, for the guest too; not beyond the guest's last splice.

        Raises:
            InvalidArgument: there are not so many.
        """
        self.check_rollback(count)
        if count:
            del self.tokens[-count:]
        self._reach -= count
        self.taken_back += count
        unsent = min(count, len(self.pending))
        if unsent:
            del self.pending[-unsent:]
        self._take_back(count - unsent)

    def check_rollback(self, count: int) -> None:
        """Raise `InvalidArgument` if there are not so many tokens to take back."""
        if not 0 <= count <= self._reach:
            raise InvalidArgument(
                f"a rollback of {count} tokens: there are {self._reach} since the prompt or the "
                "guest's last splice"
            )

    def told_of(self, count: int) -> int:
        """Return how far before the furthest that it was told of a rollback takes the guest.

        0 if it was told of none of these tokens. Memory is kept of no more than it took to get
        there: who goes back twice, a call between, goes as far as both times together.
        """
        told = len(self.tokens) - len(self.pending)
        left = len(self.tokens) - count
        return self._furthest - left if left < told else 0

    def lost(self) -> None:
        """Note that the guest is gone: what it was told last, without an answer, is pending."""
        if self.hearing:
            self.repeat()
        self.pending[:0] = self.again
        self.again.clear()
        self.hearing = False
        self.take_back = 0

    def repeat(self) -> None:
        """Have the last call made again: its answer was lost."""
        call = self.calls.pop()
        self.chosen.pop(self.orders.pop(), None)
        assert not isinstance(call, Branch)
        self.pending[:0] = call

    def _take_back(self, count: int) -> None:
        self.take_back += count
        branches: list[tuple[Branch, int]] = []  # what was branched off stays so
        while count > len(self.again):
            call, order = self.calls.pop(), self.orders.pop()
            if isinstance(call, Branch):
                branches.append((call, order))
            else:
                self.again[:0] = call
                self.chosen.pop(order, None)
                self.hearing = False  # if it was: its answer is no news
        if count:
            del self.again[-count:]
        for branch, order in reversed(branches):
            self.calls.append(branch)
            self.orders.append(order)

    def fork(self, branches: int, order: int = 0) -> list[History]:
        """Return the histories of the new branches of `branches`; this one is branch 0."""
        others = [self._copy() for _ in range(1, branches)]
        for number, each in enumerate([self, *others]):
            each.calls.append(Branch(number, branches))
            each.orders.append(order)
        return others

    def _copy(self) -> History:
        other = History(self.prompt, self.root)
        other.tokens = list(self.tokens)
        other.pending = list(self.pending)
        other.again = list(self.again)
        other.calls = list(self.calls)
        other.orders = list(self.orders)
        other.chosen = dict(self.chosen)
        other._given = 0
        other._reach = self._reach
        other._furthest = self._furthest
        return other
