"""GGUF files by llama.cpp."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.errors import InvalidModel
from onecopy.nn.backends import registry
from onecopy.nn.backends.options import parse
from onecopy.nn.backends.text.options import split

if TYPE_CHECKING:
    from onecopy.nn.backends.backend import Source
    from onecopy.nn.backends.llamacpp.model import LlamaCppModel


_LONGEST: Final = 1 << 16


class HostOptions(msgspec.Struct, kw_only=True):
    """What a host says about a model, beside the options of guests as defaults for all."""

    context: int = 4096
    """The most tokens of a prompt and its answer: each text has memory for all of them."""
    threads: int = 0
    """How many compute; llama.cpp's default if 0."""
    n_gpu_layers: int = 0
    """How many layers are on a GPU; all if negative."""

    def __post_init__(self) -> None:
        if self.context < 2 or self.threads < 0:
            raise ValueError("context is at least 2, and threads not negative")


class LlamaCpp:
    """Continues texts token by token, and makes embeddings of them."""

    encodings = ("ggml",)
    suffixes = (".gguf",)

    def load(self, source: Source) -> LlamaCppModel:
        """Load a GGUF file, as `Backend.load` says; its pages are mapped, not read."""
        registry.require("llama_cpp", "llamacpp")
        own, defaults = split(source.options, HostOptions.__struct_fields__)
        host = parse(own, HostOptions)
        path, *more = registry.files_of(source.files, 1, 2, "a GGUF model is one file")
        for part in more:
            defaults |= _options(part)
        from onecopy.nn.backends.llamacpp.model import LlamaCppModel

        return LlamaCppModel(path, host, defaults)


def _options(part: Path) -> dict[str, Any]:
    """Return the options that a guest brings as a second part, as WasmEdge has it."""
    with part.open("rb") as file:
        text = file.read(_LONGEST)
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidModel(
            f"the second part of a GGUF model is JSON with options: {error}"
        ) from error
