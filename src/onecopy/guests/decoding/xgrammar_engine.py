"""xgrammar as the engine of grammars, for those who have installed it (0.2 or newer).

Its masks are faster than llguidance's, its compiling is slower. It wants torch, and copies each
mask once, since it fills arrays only. Workers import it before they give up opening files, if
their `Pool` says so: that takes seconds, and 0.2 GB in each.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from onecopy.errors import InvalidGrammar, UnsupportedValue
from onecopy.guests.decoding.grammar_engine import Engine, Matcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.guests.decoding.vocabulary import Vocabulary


class XgrammarMatcher(Matcher):
    """A `GrammarMatcher`."""

    def __init__(self, native: Any, engine: XgrammarEngine) -> None:
        self._native = native
        self._engine = engine

    def mask(self, pointer: int, nbytes: int) -> bool:
        """Through an array of the engine's own."""
        row = self._engine.row
        if self._native.is_terminated():
            row[...] = 0
            row[self._engine.eos // 32] = self._engine.eos_bit
        elif not self._native.fill_next_token_bitmask(row.reshape(1, -1)):
            # False says that every token may come, and that nothing was written.
            ctypes.memmove(pointer, self._engine.every.ctypes.data, nbytes)
            return True
        row[-1] &= self._engine.last_bits  # newer ones set those behind the vocabulary, too
        ctypes.memmove(pointer, row.ctypes.data, nbytes)
        return True

    def consume(self, tokens: Sequence[int]) -> int:
        """The end of the text is a token like any other, where it may come."""
        for count, token in enumerate(tokens):
            if self._native.is_terminated() or not self._native.accept_token(token):
                return count
        return len(tokens)

    def rollback(self, count: int) -> bool:
        """It takes back any number."""
        self._native.rollback(count)
        return True

    def accepts(self) -> bool:
        """Whether the text may end here."""
        return bool(self._native.is_completed())

    def forced(self) -> list[int]:
        """The text that must come next, in tokens; its last one may turn out to be longer."""
        text = "" if self._native.is_terminated() else self._native.find_jump_forward_string()
        return self._engine.tokenize(text.encode())[:-1]

    def clone(self) -> XgrammarMatcher:
        """What is compiled is shared."""
        return XgrammarMatcher(self._native.fork(), self._engine)


class XgrammarEngine(Engine):
    """A `GrammarCompiler`; text is tokenized by llguidance, which knows the tokenizer."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        try:
            import xgrammar
        except ImportError as error:
            raise UnsupportedValue(
                f"engine='xgrammar' needs the package xgrammar ({error}); install it, or use "
                "llguidance"
            ) from None
        import numpy as np

        from onecopy.guests.decoding.llguidance_engine import LlguidanceEngine

        self.eos = vocabulary.eos
        self.eos_bit = np.uint32(1 << vocabulary.eos % 32).view(np.int32)
        self.row = np.zeros(vocabulary.mask_words, np.int32)
        bits = np.zeros(32 * vocabulary.mask_words, np.uint8)
        bits[: vocabulary.size] = 1
        self.every = np.packbits(bits, bitorder="little").view(np.int32)
        self.last_bits = self.every[-1]
        self._texts = LlguidanceEngine(vocabulary)
        self._make = xgrammar.GrammarMatcher
        information = xgrammar.TokenizerInfo(
            vocabulary.tokens(), vocab_size=vocabulary.size, stop_token_ids=[vocabulary.eos]
        )
        self._compiler = xgrammar.GrammarCompiler(information, max_threads=1)

    def compile(self, kind: str, text: str) -> XgrammarMatcher:
        """Nothing but the caller's patience limits it."""
        compiling = getattr(self._compiler, f"compile_{kind}")
        try:
            return XgrammarMatcher(self._make(compiling(text)), self)
        except (RuntimeError, ValueError) as error:
            raise InvalidGrammar(f"the grammar does not compile: {error}") from None

    def tokenize(self, text: bytes) -> list[int]:
        """As llguidance does."""
        return self._texts.tokenize(text)


def prepare() -> None:
    """Import all that it takes, and run it once: it may look for files when it is first used."""
    import numpy as np
    import torch
    import xgrammar

    torch.set_num_threads(1)
    tokens = [b"a", b"b", b""]
    information = xgrammar.TokenizerInfo(tokens, vocab_size=3, stop_token_ids=[2])
    compiler = xgrammar.GrammarCompiler(information, max_threads=1)
    for compiled in (compiler.compile_regex("ab"), compiler.compile_json_schema("{}")):
        matcher = xgrammar.GrammarMatcher(compiled)
        matcher.fill_next_token_bitmask(np.zeros((1, 1), np.int32))
        matcher.fork().find_jump_forward_string()
