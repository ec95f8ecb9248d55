"""llguidance as the engine of grammars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onecopy.errors import InvalidGrammar, UnsupportedValue
from onecopy.guests.decoding.grammar_engine import Engine, Matcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.guests.decoding.vocabulary import Vocabulary


class LlguidanceMatcher(Matcher):
    """An `LLMatcher`."""

    __slots__ = ("_consume", "_eos", "_is_error", "_native", "_write")

    def __init__(self, native: Any, eos: int) -> None:
        self._native = native
        self._eos = eos
        self._consume = native.try_consume_tokens
        self._write = native.unsafe_compute_mask_ptr
        self._is_error = native.is_error

    def mask(self, pointer: int, nbytes: int) -> bool:
        """It writes straight to the address, without the interpreter's lock."""
        self._write(pointer, nbytes)
        return not self._is_error()

    def consume(self, tokens: Sequence[int]) -> int:
        """The end of the text is a token like any other, where it may come."""
        count: int = self._consume(tokens)
        if count < len(tokens) and tokens[count] == self._eos and self._ended_by(self._eos):
            return count + 1 + self.consume(tokens[count + 1 :])
        return count

    def _ended_by(self, eos: int) -> bool:
        # Once nothing but the end fits, only this call takes it.
        return bool(self._native.is_accepting() and self._native.consume_token(eos))

    def rollback(self, count: int) -> bool:
        """It refuses once it has given up."""
        return bool(self._native.rollback(count))

    def accepts(self) -> bool:
        """Whether the text may end here."""
        return bool(self._native.is_accepting())

    def forced(self) -> list[int]:
        """Tokens that must come next."""
        return list(self._native.compute_ff_tokens())

    def clone(self) -> LlguidanceMatcher:
        """1 to 2 µs: what is expensive is shared."""
        return LlguidanceMatcher(self._native.deep_copy(), self._eos)


class LlguidanceEngine(Engine):
    """An `LLTokenizer`."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        import llguidance

        self._eos = vocabulary.eos
        self._make = llguidance.LLMatcher
        text = vocabulary.tokenizer_text()
        try:
            self._native = llguidance.LLTokenizer(
                text, n_vocab=vocabulary.size, eos_token=vocabulary.eos
            )
        except ValueError as error:
            raise UnsupportedValue(f"llguidance cannot use this tokenizer: {error}") from None

    def compile(self, kind: str, text: str) -> LlguidanceMatcher:
        """Its own limits bound memory, and most of the time: fuel for lexers, items, size."""
        convert = getattr(self._make, f"grammar_from_{kind}")
        try:
            native = self._make(self._native, convert(text), log_level=0)
        except ValueError as error:
            raise InvalidGrammar(f"not a grammar: {error}") from None
        if native.is_error():
            raise InvalidGrammar(f"the grammar does not compile: {native.get_error()}")
        return LlguidanceMatcher(native, self._eos)

    def tokenize(self, text: bytes) -> list[int]:
        """Bytes that are no UTF-8 become the tokens that spell them."""
        return list(self._native.tokenize_bytes(text))
