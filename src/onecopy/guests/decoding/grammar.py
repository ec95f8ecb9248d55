"""Grammars: which tokens may come next, by a native engine, behind one small interface.

llguidance is the engine; xgrammar may be put in its place (xgrammar_engine.py). A grammar's state
follows from the tokens that it consumed, so it is named by them: a `Node` is the last one, linked
to those before. Saving a state is keeping its node; going there is taking back to where the ways
part, and consuming from there.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import InvalidArgument, InvalidGrammar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onecopy.guests.decoding.vocabulary import Vocabulary

KINDS: Final = ("json_schema", "regex", "lark")
"""Kinds of grammars, by their number in sdk/onecopy.h."""

COMPILE_SECONDS: Final = 5.0
_CACHED: Final = 64
_MAX_LATE: Final = 2
_STUCK_SECONDS: Final = 30.0
_AT_ONCE: Final = 8
# Engines follow rules of a grammar by recursion: 1 MiB of them, each named by the one before, needs
# some 300 MiB. What is not touched takes no memory.
_STACK_NBYTES: Final = 512 << 20

ENGINES: Final = ("llguidance", "xgrammar")

Node = tuple[Any, int, int]
"""The node before, the token, and how many there are."""

START: Final[Node] = (None, -1, 0)


class Matcher(ABC):
    """One state of one engine; what `Grammar` needs of it."""

    @abstractmethod
    def mask(self, pointer: int, nbytes: int) -> bool:
        """Write which tokens may come next; return whether the engine could say."""

    @abstractmethod
    def consume(self, tokens: Sequence[int]) -> int:
        """Advance by those that fit, stop before the first that does not; return how many did."""

    @abstractmethod
    def rollback(self, count: int) -> bool:
        """Take back tokens; return whether that worked."""

    @abstractmethod
    def accepts(self) -> bool:
        """Whether the text may end here."""

    @abstractmethod
    def forced(self) -> list[int]:
        """Return tokens that must come next."""

    @abstractmethod
    def clone(self) -> Matcher:
        """Return the same state once more."""


class Engine(ABC):
    """Compiles grammars for one vocabulary."""

    @abstractmethod
    def compile(self, kind: str, text: str) -> Matcher:
        """Return a matcher that has consumed nothing; `InvalidGrammar` says what is wrong."""

    @abstractmethod
    def tokenize(self, text: bytes) -> list[int]:
        """Turn text into tokens, as part of a longer one: nothing is put before it."""


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


class Grammars:
    """Compiles grammars for one vocabulary and keeps them: many sequences use the same ones."""

    def __init__(self, vocabulary: Vocabulary, engine: str = "llguidance") -> None:
        self._vocabulary = vocabulary
        self._name = engine
        self._engine: Engine | None = None
        self._compiled: OrderedDict[tuple[str, str], Matcher] = OrderedDict()
        self._late: dict[threading.Thread, float] = {}

    def compile(self, kind: str, text: str, seconds: float = COMPILE_SECONDS) -> Grammar:
        """Return a grammar that has consumed nothing.

        Args:
            kind: "json_schema", "regex" or "lark" (llguidance's dialect of it).
            text: the grammar.
            seconds: how long it may take; nothing can end a native engine's work but the end of
                the process, so a third grammar is refused while two are late.

        Raises:
            InvalidGrammar: it has an error, is too large, or takes too long.
        """
        key = (kind, text)
        pristine = self._compiled.get(key)
        if pristine is None:
            if kind not in KINDS:
                raise InvalidGrammar(f"{kind!r} is no kind of grammar; there are {KINDS}")
            pristine = self._within(seconds, partial(self.engine().compile, kind, text))
            self._compiled[key] = pristine
            if len(self._compiled) > _CACHED:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        return Grammar(pristine, pristine.clone())

    def _within(self, seconds: float, compile: Callable[[], Matcher]) -> Matcher:
        if len(self._still_late()) == _MAX_LATE:
            raise InvalidGrammar("grammars that took too long still compile; try again later")
        results: list[Matcher | BaseException] = []
        thread = threading.Thread(target=_keep_result, args=(compile, results), daemon=True)
        before = threading.stack_size(_STACK_NBYTES)
        try:
            thread.start()
        finally:
            threading.stack_size(before)
        thread.join(seconds)
        if not results:
            self._late[thread] = time.monotonic()
            raise InvalidGrammar(
                f"the grammar did not compile within {seconds:g} seconds; bound its repetitions"
            )
        if isinstance(results[0], BaseException):
            raise results[0]
        return results[0]

    def _still_late(self) -> dict[threading.Thread, float]:
        self._late = {each: when for each, when in self._late.items() if each.is_alive()}
        return self._late

    @property
    def stuck(self) -> bool:
        """Whether grammars are refused since others have compiled for long, and may for ever."""
        late = self._still_late().values()
        return len(late) == _MAX_LATE and min(late) < time.monotonic() - _STUCK_SECONDS

    def tokenize(self, text: bytes) -> list[int]:
        """Turn UTF-8 text into tokens, as the middle of a longer text."""
        return self.engine().tokenize(text)

    def engine(self) -> Engine:
        """Return the native engine, made when first asked for: 0.1 to 1 s for 32k to 128k tokens.

        Raises:
            UnsupportedValue: it cannot use this vocabulary's tokenizer.
        """
        if self._engine is None:
            self._engine = _engine(self._name, self._vocabulary)
        return self._engine


def _keep_result(compile: Callable[[], Matcher], results: list[Matcher | BaseException]) -> None:
    try:
        results.append(compile())
    except BaseException as error:
        results.append(error)


def check_engine(name: str) -> None:
    """Raise `InvalidArgument` for an engine that there is not."""
    if name not in ENGINES:
        raise InvalidArgument(f"{name!r} is no engine of grammars; there are {ENGINES}")


def _engine(name: str, vocabulary: Vocabulary) -> Engine:
    check_engine(name)
    if name == "xgrammar":
        from onecopy.guests.decoding.xgrammar_engine import XgrammarEngine

        return XgrammarEngine(vocabulary)
    from onecopy.guests.decoding.llguidance_engine import LlguidanceEngine

    return LlguidanceEngine(vocabulary)
