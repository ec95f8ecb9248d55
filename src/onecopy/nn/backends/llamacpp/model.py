"""A GGUF model as a `TextModel`, by llama.cpp's own C functions.

`llama_cpp.Llama` has one conversation for each copy of a model; these functions have any number.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import llama_cpp as llama

from onecopy.errors import (
    InferenceFailed,
    InvalidArgument,
    InvalidModel,
    PromptTooLong,
    UnsupportedOperation,
)
from onecopy.nn.backends.llamacpp.sampler import LlamaSampler
from onecopy.nn.backends.text.options import TextOptions, normalized, read
from onecopy.nn.backends.text.session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from onecopy.nn.backends.llamacpp.backend import HostOptions

_BATCH: Final = 512
_LONGEST: Final = 256
"""Bytes of a token, at the very most."""
_MEAN: Final = 1


# Its lines go nowhere; what went wrong is in our errors.
_say_nothing: Final = llama.llama_log_callback(lambda *_: None)


class LlamaCppModel:
    """Continues texts and makes embeddings of them."""

    concurrent = False

    def __init__(self, path: Path, host: HostOptions, defaults: Mapping[str, Any]) -> None:
        llama.llama_log_set(_say_nothing, ctypes.c_void_p())
        llama.llama_backend_init()
        params = llama.llama_model_default_params()
        params.n_gpu_layers = host.n_gpu_layers if host.n_gpu_layers >= 0 else 1 << 20
        self._model = llama.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise InvalidModel(f"{path} is no GGUF file that llama.cpp takes")
        self._vocab = llama.llama_model_get_vocab(self._model)
        self._host = host
        self._contexts: WeakSet[LlamaContext] = WeakSet()
        self._defaults = dict(defaults)
        self.context = min(host.context, llama.llama_model_n_ctx_train(self._model))

    def session(self, options: Mapping[str, Any]) -> Session:
        """Open a conversation, as `TextModel.session` says."""
        self.options(options)
        return Session(self, options)

    # ---- what a session needs ----

    def options(self, *layers: Mapping[str, Any]) -> TextOptions:
        """Return the options of a guest over the host's."""
        options = read(self._defaults, *layers)
        if options.guide:
            raise UnsupportedOperation("GGUF models have no guides; the backend text has them")
        return options

    @cached_property
    def ends(self) -> frozenset[int]:
        """All tokens that end a text or a turn."""
        count = llama.llama_vocab_n_tokens(self._vocab)
        return frozenset(i for i in range(count) if llama.llama_vocab_is_eog(self._vocab, i))

    def tokens(self, prompt: bytes, size: int) -> list[int]:
        """Return a prompt's tokens, as `Engine.tokens` says."""
        if len(prompt) > _LONGEST * size:
            raise PromptTooLong(f"{len(prompt)} bytes cannot fit into {size} tokens")
        room = (llama.llama_token * (len(prompt) + 8))()
        found = llama.llama_tokenize(self._vocab, prompt, len(prompt), room, len(room), True, True)
        if found <= 0:
            raise InvalidArgument("the prompt is empty; set input 0")
        return list(room[:found])

    def pieces(self) -> Callable[[int], bytes]:
        """Return what turns a token into bytes; special ones add nothing."""
        return self._piece

    def _piece(self, token: int) -> bytes:
        room = ctypes.create_string_buffer(1024)
        found = llama.llama_token_to_piece(self._vocab, token, room, len(room), 0, False)
        return room.raw[: max(0, found)]

    def sampler(self, options: TextOptions) -> tuple[LlamaSampler, list[Any]]:
        """Return llama.cpp's own samplers."""
        if not llama.llama_model_has_decoder(self._model):
            raise UnsupportedOperation('this model continues no texts; say `"embedding": true`')
        made = LlamaSampler(options, self._vocab, self.ends)
        return made, [made]

    def new_cache(self, size: int) -> LlamaContext:
        """Return a context of llama.cpp for so many tokens."""
        return self._context(size)

    def _context(self, size: int, pooling: int | None = None) -> LlamaContext:
        made = LlamaContext(self._model, self._host.threads, size, pooling)
        self._contexts.add(made)
        return made

    def logits(self, tokens: Sequence[int], cache: LlamaContext) -> LlamaContext:
        """Have tokens computed; the logits stay in the context."""
        cache.decode(tokens)
        return cache

    # ---- the rest ----

    def embed(self, text: bytes, options: Mapping[str, Any]) -> list[float]:
        """Return the embedding of a text, as `TextModel.embed` says."""
        chosen = self.options(options)
        tokens = self.tokens(text, self.context)
        if len(tokens) > self.context:
            raise PromptTooLong(f"the text has {len(tokens)} tokens, of {self.context} at most")
        context = self._embedder(len(tokens), chosen.pooling_type)
        try:
            context.decode(tokens)
            found = llama.llama_get_embeddings_seq(context.pointer, 0)
            if not found:
                raise UnsupportedOperation("this model gives no embeddings")
            width = llama.llama_model_n_embd(self._model)
            return normalized(list(found[:width]), chosen.embd_normalize)
        finally:
            context.close()

    def _embedder(self, size: int, pooling: int) -> LlamaContext:
        """Return a context that pools as is asked, as the model says, or else by the mean."""
        context = self._context(size, pooling)
        if pooling < 0 and llama.llama_pooling_type(context.pointer) == 0:
            context.close()
            return self._context(size, _MEAN)
        return context

    def close(self) -> None:
        """Free the model, and what sessions have of it. Twice is fine."""
        for context in list(self._contexts):
            context.close()
        model, self._model = self._model, None
        if model:
            llama.llama_model_free(model)


class LlamaContext:
    """What llama.cpp remembers of one text.

    Args:
        model: llama.cpp's.
        threads: how many compute; its default if 0.
        size: how many tokens there is room for.
        pooling: for embeddings: of which kind; None for a text that is continued.
    """

    def __init__(self, model: Any, threads: int, size: int, pooling: int | None = None) -> None:
        params = llama.llama_context_default_params()
        params.n_ctx = size
        params.n_batch = params.n_ubatch = min(_BATCH, size)
        params.no_perf = True
        if threads:
            params.n_threads = params.n_threads_batch = threads
        if pooling is not None:
            params.embeddings = True
            params.pooling_type = pooling
            # Encoders look at all tokens at once.
            params.n_batch = params.n_ubatch = size
        self._batch = params.n_batch
        self.pointer = llama.llama_init_from_model(model, params)
        if not self.pointer:
            raise InferenceFailed(f"llama.cpp has no memory for a context of {size} tokens")

    def decode(self, tokens: Sequence[int]) -> None:
        """Compute tokens that follow those before."""
        if not self.pointer:
            raise InferenceFailed("the model was closed")
        for start in range(0, len(tokens), self._batch):
            part = tokens[start : start + self._batch]
            array = (llama.llama_token * len(part))(*part)
            batch = llama.llama_batch_get_one(array, len(part))
            if llama.llama_decode(self.pointer, batch):
                raise InferenceFailed("llama.cpp could not compute the tokens")

    def close(self) -> None:
        """Free it; twice is fine."""
        pointer, self.pointer = self.pointer, None
        if pointer:
            llama.llama_free(pointer)

    def __del__(self) -> None:
        if self.__dict__.get("pointer"):
            self.close()
