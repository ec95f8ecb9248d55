"""One grammar and how far it got: which tokens may come next.

A grammar's state follows from the tokens that it consumed, so it is named by them: a `Node` is the
last one, linked to those before. Saving a state is keeping its node; going there is taking back to
where the ways part, and consuming from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.guests.decoding.grammar_engine import Matcher

_AT_ONCE: Final = 8

Node = tuple[Any, int, int]
"""The node before, the token, and how many there are."""

START: Final[Node] = (None, -1, 0)


class Grammar:
    """A grammar and how far it got; each sequence has its own (`clone`)."""

    __slots__ = ("_matcher", "_pristine", "node")

    def __init__(self, pristine: Matcher, matcher: Matcher, node: Node = START) -> None:
        self._pristine = pristine
        self._matcher = matcher
        self.node = node

    def step(self, tokens: Sequence[int], pointer: int, nbytes: int) -> bool:
        """Advance by tokens, then write a mask; false if not all fitted, or the engine gave up."""
        matcher = self._matcher
        if len(tokens) != 1:
            return self.consume(tokens) == len(tokens) and matcher.mask(pointer, nbytes)
        if not matcher.consume(tokens):
            return False
        node = self.node
        self.node = (node, tokens[0], node[2] + 1)
        return matcher.mask(pointer, nbytes)

    def mask(self, pointer: int, nbytes: int) -> bool:
        """Write a packed mask to an address of this process; false if the engine gave up.

        `nbytes` is four times the vocabulary's `mask_words`; no bit beyond the vocabulary is set.
        """
        return self._matcher.mask(pointer, nbytes)

    def consume(self, tokens: Sequence[int]) -> int:
        """Advance by tokens of the vocabulary; return how many fit, and stand after those."""
        count = self._consume(tokens)
        node = self.node
        if count == 1:  # one token is what nearly every step has
            self.node = (node, tokens[0], node[2] + 1)
            return 1
        for token in tokens[:count]:
            node = (node, token, node[2] + 1)
        self.node = node
        return count

    def _consume(self, tokens: Sequence[int]) -> int:
        """Give the engine a few at a time: it keeps the interpreter's lock meanwhile."""
        if len(tokens) <= _AT_ONCE:
            return self._matcher.consume(tokens)
        done = 0
        while done < len(tokens):
            piece = tokens[done : done + _AT_ONCE]
            count = self._matcher.consume(piece)
            done += count
            if count < len(piece):
                break
        return done

    def rollback(self, count: int) -> bool:
        """Take back the last `count` tokens; false if there are not so many."""
        node = self.node
        if count > node[2]:
            return False
        for _ in range(count):
            node = node[0]
        self.go(node)
        return True

    def go(self, node: Node) -> None:
        """Go to a state that this grammar, or one that it was cloned from, was in."""
        shared, ahead = _common(self.node, node)
        back = self.node[2] - shared[2]
        if back and not self._matcher.rollback(back):
            # An engine that has given up stays so: start again.
            self._matcher = self._pristine.clone()
            _, ahead = _common(START, node)
        if ahead:
            self._consume(ahead)
        self.node = node

    def accepts(self) -> bool:
        """Return whether the text may end here."""
        return self._matcher.accepts()

    def forced(self) -> list[int]:
        """Return tokens that must come next, if there are any."""
        return self._matcher.forced()

    def clone(self) -> Grammar:
        """Return a copy that goes its own way from here."""
        return Grammar(self._pristine, self._matcher.clone(), self.node)

    def is_like(self, other: Grammar) -> bool:
        """Return whether both are the same grammar, wherever they are in it."""
        return self._pristine is other._pristine


def _common(here: Node, there: Node) -> tuple[Node, list[int]]:
    """Return where two ways part, and the tokens from that place to `there`."""
    ahead = []
    while here is not there:
        # Nodes are compared by identity: that ways with the same tokens are not recognized as
        # the same only means to go further back.
        if here[2] > there[2]:
            here = here[0]
        elif there[2] == 0:
            break
        else:
            if here[2] == there[2]:
                here = here[0]
            ahead.append(there[1])
            there = there[0]
    return there, ahead[::-1]
