"""What guests may say about a generation, in the words of llama.cpp and WasmEdge's GGML plugin.

Names, meanings and defaults: WasmEdge, plugins/wasi_nn/GGML/metadata/metadata_parser.cpp, and
`common_params_sampling` of llama.cpp. The table is in docs/nn.md.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from onecopy.errors import InvalidArgument

_log = logging.getLogger(__name__)

_LONGEST: Final = 256 << 10
# Beyond this, logits of single precision become infinite: nothing could be chosen any more.
_MOST: Final = 1_000_000
_LEAST: Final = 1e-6
_ANY_SEED: Final = 0xFFFFFFFF
_SHOWN: Final = 8


class TextOptions(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """The options of one generation."""

    n_predict: int = -1
    """How many tokens at most; any number if negative."""
    ctx_size: int = 0
    """How many tokens prompt and answer may have; as many as the model allows if 0, or more."""
    reverse_prompt: str = ""
    """The generation ends when this was generated."""
    ignore_eos: bool = False
    """Whether the model may not end the text."""

    temp: float = 0.8
    """0 takes the likeliest token."""
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typ_p: float = 1.0
    seed: int = -1
    """The same seed gives the same text; another one each time if negative."""

    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    last_n_penalty: int = 64
    """How many of the tokens that were generated last are penalized; all if negative."""

    grammar: str = ""
    """GBNF, or llguidance's Lark."""
    json_schema: str | dict[str, Any] | bool = ""
    guide: str = ""
    """The name of one of the host's guides."""

    embedding: bool = False
    embd_normalize: int = 2
    """The norm that embeddings are divided by: 2 is Euclid's, 1 Manhattan's, 0 the largest number,
    -1 none."""
    pooling_type: int = -1
    """1 mean, 2 the first token's, 3 the last one's; mean if negative."""

    # What is taken, and is no matter of a backend: guests say it as a matter of course.
    enable_log: bool = False
    enable_debug_log: bool = False
    stream_stdout: bool = False
    n_gpu_layers: int = 0
    main_gpu: int = 0
    threads: int = 0
    threads_batch: int = 0
    batch_size: int = 0
    ubatch_size: int = 0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, float) and not -_MOST <= value <= _MOST:
                raise ValueError(f"{_spelled(name)} is {value}; it is from -{_MOST} to {_MOST}")
            if isinstance(value, str) and len(value) > _LONGEST:
                raise ValueError(f"{_spelled(name)} has more than {_LONGEST} characters")
        if not -1 <= self.embd_normalize <= 16:
            raise ValueError(f"embd-normalize is {self.embd_normalize}; it is from -1 to 16")
        if 0 < self.repeat_penalty < _LEAST:
            raise ValueError(
                f"repeat-penalty is {self.repeat_penalty}; it is 0, or {_LEAST} or more"
            )
        if self.pooling_type not in (-1, 1, 2, 3):
            raise ValueError(f"pooling-type is {self.pooling_type}; there are -1, 1, 2 and 3")

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is chosen; a temperature near 0 would divide by nothing."""
        return self.temp < _LEAST

    @property
    def seeded(self) -> bool:
        """Whether the same text is wanted again; llama.cpp's number for any seed is none."""
        return self.seed >= 0 and self.seed != _ANY_SEED

    @property
    def limit(self) -> float:
        """The most tokens that are generated."""
        return math.inf if self.n_predict < 0 else self.n_predict

    @property
    def schema(self) -> str:
        """The JSON schema as a text; empty if there is none."""
        if isinstance(self.json_schema, str):
            return self.json_schema
        return msgspec.json.encode(self.json_schema).decode()


def normalized(vector: list[float], kind: int) -> list[float]:
    """Return a vector divided by a norm, as `embd_normalize` says."""
    if kind < 0:
        return vector
    sizes = list(map(abs, vector))
    top = max(sizes, default=0.0)
    if kind == 0 or top == 0:
        norm = top
    else:
        # Powers of what is at most 1 do not overflow.
        norm = top * math.fsum((size / top) ** kind for size in sizes) ** (1 / kind)
    return [each / max(norm, 1e-12) for each in vector]


def _spelled(field: str) -> str:
    return field.replace("_", "-")


NAMES: Final = frozenset(TextOptions.__struct_encode_fields__)
"""How the options are spelled."""


def read(*layers: Mapping[str, Any]) -> TextOptions:
    """Return options of which the later layers count before the earlier ones.

    Unknown ones are left out, and logged in one line: llama.cpp has hundreds of them.

    Raises:
        InvalidArgument: an option of another type, or a value that it cannot have.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update(layer)
    unknown = [str(name)[:40] for name in merged if name not in NAMES]
    if unknown:
        shown = ", ".join(map(repr, unknown[:_SHOWN]))
        _log.info("%d options of a guest are not known here: %s", len(unknown), shown)
    return _converted(merged, strict=True)


def read_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a host says about all generations of a model, numbers not in texts any more.

    Names may be spelled with `_`.

    Raises:
        InvalidArgument: see `read`; an unknown one is another.
    """
    spelled = {_spelled(name): value for name, value in options.items()}
    for name in spelled:
        if name not in NAMES:
            raise InvalidArgument(f"no option {name!r}; there are {', '.join(sorted(NAMES))}")
    known: dict[str, Any] = msgspec.to_builtins(_converted(spelled, strict=False))
    return {name: known[name] for name in spelled}


def split(options: Mapping[str, Any], own: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a host's options as the backend's own, by their names, and as defaults of guests'.

    Raises:
        InvalidArgument: see `read_defaults`.
    """
    mine = set(own)
    guests = {key: value for key, value in options.items() if _is_of_guests(key, mine)}
    return {k: v for k, v in options.items() if k not in guests}, read_defaults(guests)


def _is_of_guests(name: str, own: set[str]) -> bool:
    return name not in own and name.replace("_", "-") in NAMES


def _converted(options: Mapping[str, Any], *, strict: bool) -> TextOptions:
    try:
        return msgspec.convert(dict(options), TextOptions, strict=strict)
    except msgspec.ValidationError as error:
        raise InvalidArgument(f"options: {error}") from error
