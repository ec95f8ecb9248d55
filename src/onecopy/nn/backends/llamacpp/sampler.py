"""llama.cpp's samplers, in its order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import llama_cpp as llama

from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from onecopy.nn.backends.llamacpp.model import LlamaContext
    from onecopy.nn.backends.text.options import TextOptions

_NEVER = float("-inf")
_MOST = (1 << 31) - 1
_RANDOM = 0xFFFFFFFF
"""The seed that llama.cpp takes for none."""


class LlamaSampler:
    """Chooses the tokens of one generation; with the same seed, the same ones.

    Raises:
        InvalidArgument: a grammar or a schema that llama.cpp does not take.
    """

    def __init__(self, options: TextOptions, vocab: Any, ends: frozenset[int]) -> None:
        self._chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        grammar = _grammar_of(options)
        if grammar:
            made = llama.llama_sampler_init_grammar(vocab, grammar.encode(), b"root")
            if not made:
                self.close()
                raise InvalidArgument("grammar is no GBNF that llama.cpp takes")
            self._add(made)
        if options.ignore_eos and ends:
            biases = (llama.llama_logit_bias * len(ends))(*((each, _NEVER) for each in ends))
            count = llama.llama_vocab_n_tokens(vocab)
            self._add(llama.llama_sampler_init_logit_bias(count, len(ends), biases))
        self._add_penalties(options, llama.llama_vocab_n_tokens(vocab))
        self._add_choice(options)

    def _add(self, sampler: Any) -> None:
        llama.llama_sampler_chain_add(self._chain, sampler)

    def _add_penalties(self, options: TextOptions, count: int) -> None:
        penalties = (
            options.repeat_penalty if options.repeat_penalty > 0 else 1.0,
            options.frequency_penalty,
            options.presence_penalty,
        )
        if penalties != (1.0, 0.0, 0.0):
            last = _MOST if options.last_n_penalty < 0 else options.last_n_penalty
            self._add(llama.llama_sampler_init_penalties(count, min(last, 1 << 20), *penalties))

    def _add_choice(self, options: TextOptions) -> None:
        if options.greedy:
            self._add(llama.llama_sampler_init_greedy())
            return
        self._add(llama.llama_sampler_init_top_k(max(0, min(options.top_k, _MOST))))
        self._add(llama.llama_sampler_init_typical(options.typ_p, 1))
        self._add(llama.llama_sampler_init_top_p(max(0.0, options.top_p), 1))
        self._add(llama.llama_sampler_init_min_p(options.min_p, 1))
        self._add(llama.llama_sampler_init_temp(options.temp))
        seed = options.seed if options.seeded else int.from_bytes(os.urandom(4), "little")
        self._add(llama.llama_sampler_init_dist(seed % _RANDOM))

    def choose(self, tokens: Sequence[int], prompt: int, logits: LlamaContext) -> int:  # noqa: ARG002
        """Return the token that follows what was computed last, as `Chooser.choose` says."""
        return int(llama.llama_sampler_sample(self._chain, logits.pointer, -1))

    def close(self) -> None:
        """Free it; twice is fine."""
        chain, self._chain = self._chain, None
        if chain:
            llama.llama_sampler_free(chain)

    def __del__(self) -> None:
        if self.__dict__.get("_chain"):
            self.close()


def _grammar_of(options: TextOptions) -> str:
    if not options.schema:
        return options.grammar
    if options.grammar:
        raise InvalidArgument("json-schema and grammar are both given; give one of them")
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        return str(json_schema_to_gbnf(options.schema))
    except Exception as error:  # It raises whatever a schema makes it raise.
        raise InvalidArgument(f"json-schema is none that llama.cpp takes: {error}") from error
