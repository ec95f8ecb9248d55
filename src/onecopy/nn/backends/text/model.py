"""A model of transformers as a `TextModel`: what all conversations with it share."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import torch

from onecopy.errors import (
    InvalidArgument,
    PromptTooLong,
    UnsupportedOperation,
    UnsupportedValue,
)
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.nn.backends.text.embedding import embed
from onecopy.nn.backends.text.grammar import TextGrammars
from onecopy.nn.backends.text.guides import Guides, checked
from onecopy.nn.backends.text.options import read
from onecopy.nn.backends.text.pieces import Pieces
from onecopy.nn.backends.text.sampler import Sampler
from onecopy.nn.backends.text.session import Session

if TYPE_CHECKING:
    from onecopy.nn.backends.text.options import TextOptions

_CONTEXT: Final = 4096
"""Of models that do not say."""
_ENDLESS: Final = 1 << 32
"""What transformers calls the length of a tokenizer that has none is far above."""


class TransformersModel:
    """Continues texts and makes embeddings of them.

    Args:
        model: of transformers, in eval mode.
        tokenizer: a fast one.
        defaults: options of all generations; what guests say counts before them.
        context: the most tokens of a prompt and its answer; the model's own limit if 0.
        guides: paths of controllers, or `[path, config]`, by name.
    """

    concurrent = False

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        defaults: Mapping[str, Any],
        context: int = 0,
        guides: Mapping[str, Any] | None = None,
    ) -> None:
        self.module = model
        self._tokenizer = tokenizer
        self._defaults = dict(defaults)
        self._known_guides = checked(guides or {})
        self.context = min(_limit(model.config, tokenizer), context or _ENDLESS)
        self._longest = max(map(len, tokenizer.get_vocab()), default=1)
        self._pieces = Pieces(tokenizer)
        self.ends = _ends(model, tokenizer)

    def session(self, options: Mapping[str, Any]) -> Session:
        """Open a conversation, as `TextModel.session` says."""
        self.options(options)
        return Session(self, options)

    def options(self, *layers: Mapping[str, Any]) -> TextOptions:
        """Return the options of a guest over the model's own.

        A guest may choose another guide than the model's own, but not none.
        """
        return read(self._defaults, *map(_guided, layers))

    # ---- prompts ----

    def tokens(self, prompt: bytes, size: int) -> list[int]:
        """Return a prompt's tokens, those that open a text included, as `Engine.tokens` says."""
        found: list[int] = self._encoded(prompt, size)["input_ids"]
        if not found and self._tokenizer.bos_token_id is not None:
            found = [self._tokenizer.bos_token_id]
        if not found:
            raise InvalidArgument("the prompt is empty; set input 0")
        return found

    def _encoded(self, prompt: bytes, size: int) -> Any:
        try:
            text = prompt.decode()
        except UnicodeDecodeError as error:
            raise InvalidArgument(f"the prompt is not UTF-8: {error}") from error
        # No token is longer than the longest: what cannot fit is not even looked at.
        if len(text) > self._longest * size:
            raise PromptTooLong(f"{len(text)} characters cannot fit into {size} tokens")
        return self._tokenizer(text, verbose=False)

    def pieces(self) -> Callable[[int], bytes]:
        """Return what turns tokens into bytes, as `Engine.pieces` says."""
        return self._pieces.stream()

    # ---- generations ----

    def _check_generates(self) -> None:
        kind = type(self.module)
        encoder = not getattr(kind, "can_generate", bool)()
        encoder |= bool(getattr(self.module.config, "is_encoder_decoder", False))
        if encoder or not getattr(kind, "_supports_default_dynamic_cache", bool)():
            raise UnsupportedOperation(
                f'a {kind.__name__} does not continue texts here; `"embedding": true` makes '
                "embeddings, and models such as LlamaForCausalLM generate"
            )

    def sampler(self, options: TextOptions) -> tuple[Sampler, list[Any]]:
        """Return what chooses a generation's tokens, as `Engine.sampler` says."""
        self._check_generates()
        constraints: list[Any] = []
        closing: list[Any] = []
        if options.guide:
            closing = [self._guides.processor(options.guide)]
            constraints += closing
        if options.grammar or options.schema:
            constraints.insert(0, self._grammars.processor(options))
        return Sampler(options, constraints, self.ends), closing

    def logits(self, tokens: Sequence[int], cache: Any) -> torch.Tensor:
        """Return the logits `[1, vocab]` of what follows; the cache knows all tokens before."""
        with torch.inference_mode():
            found = self.module(
                input_ids=torch.tensor([tokens]),
                past_key_values=cache,
                use_cache=True,
                **self._last_only,
            )
        return torch.as_tensor(found.logits[:, -1])

    @cached_property
    def _last_only(self) -> dict[str, int]:
        # A prompt's other logits would take more memory than all the rest.
        known = inspect.signature(self.module.forward).parameters
        return {"logits_to_keep": 1} if "logits_to_keep" in known else {}

    def new_cache(self, _: int) -> Any:
        """Return an empty cache of keys and values, which grows."""
        from transformers import DynamicCache

        return DynamicCache(config=self.module.config.get_text_config(decoder=True))

    # ---- constraints ----

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        width = self.module.get_output_embeddings().weight.shape[0]
        end = self._tokenizer.eos_token_id
        if end is None:
            end = min(self.ends, default=None)
        try:
            return Vocabulary.from_tokenizer(self._tokenizer, eos=end, size=width)
        except (UnsupportedValue, InvalidArgument) as error:
            raise UnsupportedOperation(f"no constraints for this model: {error}") from error

    @cached_property
    def _grammars(self) -> TextGrammars:
        return TextGrammars(self._vocabulary)

    @cached_property
    def _guides(self) -> Guides:
        return Guides(self._known_guides, self._vocabulary)

    # ---- the rest ----

    def embed(self, text: bytes, options: Mapping[str, Any]) -> list[float]:
        """Return the embedding of a text, as `TextModel.embed` says."""
        parsed = self.options(options)
        found = self._encoded(text, self.context)
        count = len(found["input_ids"])
        if not count:
            raise InvalidArgument("the text is empty; set input 0")
        if count > self.context:
            raise PromptTooLong(f"the text has {count} tokens, and the model takes {self.context}")
        inputs = {name: torch.tensor([values]) for name, values in found.items()}
        return embed(self.module, inputs, parsed)

    def close(self) -> None:
        """End the processes of guides; twice is fine."""
        if "_guides" in self.__dict__:
            self._guides.close()
        if "_vocabulary" in self.__dict__:
            self._vocabulary.close()


def _guided(options: Mapping[str, Any]) -> Mapping[str, Any]:
    if options.get("guide", True):
        return options
    return {name: value for name, value in options.items() if name != "guide"}


def _limit(config: Any, tokenizer: Any) -> int:
    """How many tokens a model has positions for."""
    text = config.get_text_config()
    positions = getattr(text, "max_position_embeddings", None) or _CONTEXT
    return min(int(positions), int(tokenizer.model_max_length))


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a text, by all who say so."""
    said = (getattr(model, "generation_config", None), model.config, tokenizer)
    values = (getattr(each, "eos_token_id", None) for each in said)
    lists = ((value,) if isinstance(value, int) else value or () for value in values)
    return frozenset(itertools.chain.from_iterable(lists))
