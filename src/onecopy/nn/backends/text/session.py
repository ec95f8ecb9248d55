"""One conversation with a model that runs here: a prompt, then a token at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from onecopy.errors import (
    ContextFull,
    EndOfSequence,
    InferenceFailed,
    InvalidArgument,
    OnecopyError,
    PromptTooLong,
)

if TYPE_CHECKING:
    from onecopy.nn.backends.text.options import TextOptions


class Chooser(Protocol):
    """Chooses the tokens of one generation."""

    def choose(self, tokens: Sequence[int], prompt: int, logits: Any) -> int:
        """Return the token that follows; the first `prompt` tokens were given."""
        ...


class Engine(Protocol):
    """What a library offers to conversations with a model that it has loaded."""

    context: int
    """The most tokens of a prompt and its answer."""

    @property
    def ends(self) -> frozenset[int]:
        """The tokens that end a text."""
        ...

    def options(self, *layers: Mapping[str, Any]) -> TextOptions:
        """Return the options of a guest over the host's."""
        ...

    def tokens(self, prompt: bytes, size: int) -> list[int]:
        """Return a prompt's tokens, as many as there are.

        Raises:
            PromptTooLong: it is so long that it need not be read: it cannot fit into `size`.
            InvalidArgument: it is no text, or empty.
        """
        ...

    def pieces(self) -> Callable[[int], bytes]:
        """Return a function that takes a text's tokens in order, and returns what each adds."""
        ...

    def sampler(self, options: TextOptions) -> tuple[Chooser, list[Any]]:
        """Return what chooses a generation's tokens, and what is to be closed after it.

        Raises:
            UnsupportedOperation: the model does not continue texts.
        """
        ...

    def new_cache(self, size: int) -> Any:
        """Return what remembers so many tokens, and knows none."""
        ...

    def logits(self, tokens: Sequence[int], cache: Any) -> Any:
        """Return what `Chooser.choose` takes; the cache knows all tokens before these."""
        ...


class Session:
    """A `TextSession`; a generation computes each token once, and keeps its keys and values."""

    def __init__(self, model: Engine, options: Mapping[str, Any]) -> None:
        self._model = model
        self._graph_options = options
        self._generation: Generation | None = None
        self._prompt = 0

    def begin(self, prompt: bytes, options: Mapping[str, Any]) -> None:
        """Take a prompt, as `TextSession.begin` says."""
        self.close()
        chosen = self._model.options(self._graph_options, options)
        size = min(self._model.context, chosen.ctx_size if chosen.ctx_size > 0 else 1 << 62)
        tokens = self._model.tokens(prompt, size)
        # Also of one that does not fit: guests tell their users.
        self._prompt = len(tokens)
        room = size if chosen.embedding else size - 1
        if len(tokens) > room:
            raise PromptTooLong(
                f"the prompt has {len(tokens)} tokens, and there is room for {max(0, room)}"
            )
        self._generation = Generation(self._model, chosen, tokens, size)

    def advance(self) -> bytes:
        """Generate a token, as `TextSession.advance` says."""
        if self._generation is None:
            raise InvalidArgument("there is no prompt; set input 0")
        return self._generation.advance()

    def metadata(self) -> dict[str, Any]:
        """Return the words of WasmEdge's plugin; there is no llama.cpp, hence no build of it."""
        now = self._generation
        return {
            "input_tokens": self._prompt,
            "output_tokens": 0 if now is None else now.generated,
            "llama_build_number": 0,
            "llama_commit": "",
        }

    def close(self) -> None:
        """Drop the cache, and give a guide's place back."""
        if self._generation is not None:
            self._generation.close()
        self._generation = None
        self._prompt = 0


class Generation:
    """A prompt, and what follows it."""

    def __init__(self, model: Engine, options: TextOptions, tokens: list[int], size: int) -> None:
        self._model = model
        self._size = size
        self._limit = options.limit
        self._stop = options.reverse_prompt.encode()
        self._tokens = tokens
        self._prompt = len(tokens)
        self._known = 0
        """How many tokens are in the cache."""
        self._cache: Any = None
        self._piece: Callable[[int], bytes] = model.pieces()
        self._tail = b""
        self._ended: OnecopyError | None = None
        self._closing: list[Any] = []
        self._sampler: Chooser | None = None
        if not options.embedding:
            self._sampler, self._closing = model.sampler(options)

    @property
    def generated(self) -> int:
        """How many tokens were generated, the one that ended the text included."""
        return len(self._tokens) - self._prompt

    def advance(self) -> bytes:
        """Generate the next token; once it has ended, it says so again."""
        if self._ended is None and self.generated >= self._limit:
            self._end(EndOfSequence(f"n-predict: {self._limit} tokens were generated"))
        if self._ended is None and len(self._tokens) >= self._size:
            self._end(ContextFull(f"all {self._size} tokens of the context are taken"))
        if self._ended is not None:
            raise self._ended
        try:
            token = self._next()
        except OnecopyError as error:
            self._end(error)
            raise
        except Exception as error:  # Whatever a model's code raises is the end of this text alone.
            self._end(InferenceFailed(f"the model failed: {type(error).__name__}: {error}"))
            raise self._ended from error  # type: ignore[misc]
        return self._text_of(token)

    def _next(self) -> int:
        if self._sampler is None:
            raise InvalidArgument("`embedding` is true: no text is generated")
        if self._cache is None:
            self._cache = self._model.new_cache(self._size)
        logits = self._model.logits(self._tokens[self._known :], self._cache)
        self._known = len(self._tokens)
        token = self._sampler.choose(self._tokens, self._prompt, logits)
        self._tokens.append(token)
        return token

    def _text_of(self, token: int) -> bytes:
        if token in self._model.ends:
            self._end(EndOfSequence("the model ended its text"))
            raise self._ended  # type: ignore[misc]
        piece = self._piece(token)
        if self._stop:
            self._tail += piece
            if self._stop in self._tail:
                self._end(EndOfSequence("the reverse prompt was generated"))
            self._tail = self._tail[-len(self._stop) :]
        return piece

    def _end(self, reason: OnecopyError) -> None:
        self._ended = reason
        self.close()

    def close(self) -> None:
        """Drop what takes memory."""
        for each in self._closing:
            each.close()
        self._closing = []
        self._cache = None
        self._sampler = None if self._ended is not None else self._sampler
