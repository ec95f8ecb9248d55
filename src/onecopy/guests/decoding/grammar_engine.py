"""What an engine of grammars does for one vocabulary; llguidance and xgrammar are in this form.

llguidance is the default; xgrammar may be put in its place (xgrammar_engine.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.guests.decoding.vocabulary import Vocabulary

KINDS: Final = ("json_schema", "regex", "lark")
"""Kinds of grammars, by their number in sdk/onecopy.h."""

ENGINES: Final = ("llguidance", "xgrammar")


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


def check_engine(name: str) -> None:
    """Raise `InvalidArgument` for an engine that there is not."""
    if name not in ENGINES:
        raise InvalidArgument(f"{name!r} is no engine of grammars; there are {ENGINES}")


def make_engine(name: str, vocabulary: Vocabulary) -> Engine:
    """Make an engine: 0.1 to 1 s for 32k to 128k tokens.

    Raises:
        UnsupportedValue: it cannot use this vocabulary's tokenizer.
    """
    check_engine(name)
    if name == "xgrammar":
        from onecopy.guests.decoding.xgrammar_engine import XgrammarEngine

        return XgrammarEngine(vocabulary)
    from onecopy.guests.decoding.llguidance_engine import LlguidanceEngine

    return LlguidanceEngine(vocabulary)
