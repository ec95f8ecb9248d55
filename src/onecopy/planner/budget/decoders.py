"""Language models of transformers, from a folder, as modules whose memory can be planned.

One step of decoding with a cache: `b` sequences, of which `c` tokens each are new and `s` fit into
the cache. What is planned is what one forward needs then; only the last logits are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from onecopy.errors import UnsupportedValue

_MOST_SEQUENCES: Final = 1024
_MOST_TOKENS: Final = 1 << 20
"""Where the config has no limit of its own."""
_OWN: Final = (
    "write a function that returns the plan of your model, and name it as package.module:function"
)


class DecodingStep(torch.nn.Module):  # type: ignore[misc]  # torch has no types here
    """A causal language model with its cache as arguments: keys and values, for each layer."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        ids: torch.Tensor,
        positions: torch.Tensor,
        keys: list[torch.Tensor],
        values: list[torch.Tensor],
    ) -> Any:
        """Return the logits of the last token of each sequence; keys and values are written to."""
        slots = torch.arange(keys[0].shape[2], device=ids.device)
        seen = slots[None, :] <= positions[:, None]
        result = self.model(
            ids,
            attention_mask=seen[None, None],
            position_ids=positions[None],
            past_key_values=_Cache(positions, keys, values),
            use_cache=True,
            logits_to_keep=1,
            return_dict=True,
        )
        return result.logits


class _Cache:
    """What attention asks of a cache: new keys and values in, all of them out."""

    is_compileable = True

    def __init__(
        self, positions: torch.Tensor, keys: list[torch.Tensor], values: list[torch.Tensor]
    ) -> None:
        self._positions, self._keys, self._values = positions, keys, values

    def update(self, keys: Any, values: Any, layer: int, *_: Any, **__: Any) -> tuple[Any, Any]:
        self._keys[layer].index_copy_(2, self._positions, keys)
        self._values[layer].index_copy_(2, self._positions, values)
        return self._keys[layer], self._values[layer]

    def get_seq_length(self, *_: Any) -> int:
        return 0


@dataclass(frozen=True)
class Decoder:
    """A model of a folder, and arguments for it."""

    module: DecodingStep
    config: Any
    device: str

    @property
    def most_tokens(self) -> int:
        """How many positions the model knows."""
        return int(getattr(self.config, "max_position_embeddings", None) or _MOST_TOKENS)

    def inputs_at(self, b: int = 1, c: int = 1, s: int = 1) -> tuple[tuple[Any, ...], Any]:
        """Return `(args, kwargs)` for b sequences of c new tokens, with a cache for s."""
        config = self.config
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = (
            getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        )

        def cache() -> list[torch.Tensor]:
            dtype = self.module.model.dtype
            size = (b, heads, s, width)
            each = range(config.num_hidden_layers)
            return [torch.zeros(size, dtype=dtype, device=self.device) for _ in each]

        ids = torch.zeros(b, c, dtype=torch.int64, device=self.device)
        # With fewer slots than tokens, the last tokens share one.
        positions = torch.arange(c, device=self.device).clamp(max=s - 1)
        return (ids, positions, cache(), cache()), {}

    def plan(self) -> Any:
        """Return its plan: dimensions b, c and s."""
        from torch.export import Dim

        from onecopy.planner.analysis.planning import plan

        tokens = self.most_tokens
        b = Dim("b", min=1, max=_MOST_SEQUENCES)
        c, s = (Dim(name, min=1, max=tokens) for name in ("c", "s"))
        caches = [{0: b, 2: s}] * self.config.num_hidden_layers
        shapes = {"ids": {0: b, 1: c}, "positions": {0: c}, "keys": caches, "values": caches}
        args, kwargs = self.inputs_at(b=2, c=min(8, tokens), s=min(16, tokens))
        return plan(self.module, args, kwargs, shapes)


def of_config(config: Any, *, device: str = "meta") -> Decoder:
    """Return the model of a config of transformers, without weights that were trained.

    Raises:
        UnsupportedValue: it is no decoder.
    """
    transformers = _transformers()
    try:
        with torch.device(device):
            model = transformers.AutoModelForCausalLM.from_config(
                config, dtype=getattr(config, "dtype", None) or torch.float32
            )
    except ValueError as error:
        raise UnsupportedValue(
            f"{type(config).__name__} is of no causal language model; {_OWN}"
        ) from error
    return _decoder(model, config, device)


def of_folder(folder: Path, *, weights: bool) -> Decoder:
    """Return the model of a folder with a config.json.

    `weights=False`: on the meta device, from the config alone. `weights=True`: on the CPU, with
    the folder's weights if it has some.
    """
    transformers = _transformers()
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    if not weights or not any(folder.glob("*.safetensors")):
        return of_config(config, device="cpu" if weights else "meta")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, local_files_only=True, dtype="auto"
    )
    return _decoder(model, config, "cpu")


def _decoder(model: Any, config: Any, device: str) -> Decoder:
    causal = [each.is_causal for each in model.modules() if hasattr(each, "is_causal")]
    if causal and not any(causal):
        raise UnsupportedValue(
            f"{type(model).__name__} is an encoder: all its tokens see all others; {_OWN}"
        )
    return Decoder(DecodingStep(model.eval()), config.get_text_config(), device)


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise UnsupportedValue(
            "a folder with a config.json needs transformers: pip install transformers"
        ) from error
    return transformers
