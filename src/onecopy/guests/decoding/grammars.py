"""Compiles grammars, within a time, and keeps them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Final

from onecopy.errors import InvalidGrammar
from onecopy.guests.decoding.grammar import Grammar
from onecopy.guests.decoding.grammar_engine import KINDS, make_engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.guests.decoding.grammar_engine import Engine, Matcher
    from onecopy.guests.decoding.vocabulary import Vocabulary

COMPILE_SECONDS: Final = 5.0
_CACHED: Final = 64
_MAX_LATE: Final = 2
_STUCK_SECONDS: Final = 30.0
# Engines follow rules of a grammar by recursion: 1 MiB of them, each named by the one before, needs
# some 300 MiB. What is not touched takes no memory.
_STACK_NBYTES: Final = 512 << 20


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
            self._engine = make_engine(self._name, self._vocabulary)
        return self._engine


def _keep_result(compile: Callable[[], Matcher], results: list[Matcher | BaseException]) -> None:
    try:
        results.append(compile())
    except BaseException as error:
        results.append(error)
