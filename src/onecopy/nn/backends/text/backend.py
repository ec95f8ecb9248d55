"""Text models of transformers: from a store, or from a checkpoint's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from onecopy.nn.backends import registry
from onecopy.nn.backends.options import parse
from onecopy.nn.backends.text.options import split
from onecopy.nn.backends.text.tokenizer import entries_for

if TYPE_CHECKING:
    from onecopy.nn.backends.backend import Source
    from onecopy.nn.backends.text.model import TransformersModel


class HostOptions(msgspec.Struct, kw_only=True):
    """What a host says about a model, beside the options of guests as defaults for all."""

    tokenizer: str = ""
    """An entry or a path; by default the entry `NAME/tokenizer`, or what is in the folder."""
    dtype: str = ""
    """Of a folder's weights, such as `bfloat16`; by default what the checkpoint says."""
    context: int = 0
    """The most tokens of a prompt and its answer; the model's own limit if 0."""
    threads: int = 0
    """How many compute; torch's default if 0, of one that shares the machine with others 1."""
    guides: dict[str, Any] = {}
    """Controllers by name: the path of a module, or `[path, config]`."""

    def __post_init__(self) -> None:
        if self.context < 0 or self.threads < 0:
            raise ValueError("context and threads are not negative; 0 is the default")


class Text:
    """Continues texts token by token, and makes embeddings of them."""

    encodings = ("ggml",)
    suffixes = (f"/{registry.CHECKPOINT}",)

    def beside(self, source: Source) -> tuple[str, ...]:
        """Return the names of entries that may be the tokenizer of an entry."""
        return entries_for(source.entry, str(source.options.get("tokenizer", "")))

    def load(self, source: Source) -> TransformersModel:
        """Load a model, as `Backend.load` says."""
        for library in ("torch", "transformers", "llguidance"):
            registry.require(library, "text")
        own, defaults = split(source.options, HostOptions.__struct_fields__)
        host = parse(own, HostOptions)
        if host.threads:
            registry.require("torch", "text").set_num_threads(host.threads)
        from onecopy.nn.backends.text.model import TransformersModel
        from onecopy.nn.backends.text.source import load

        # Of the process, so it is the host's to say; a guest's own wish changes nothing.
        if threads := defaults.get("threads"):
            import torch

            torch.set_num_threads(threads)
        model, tokenizer = load(source, host.tokenizer, host.dtype)
        return TransformersModel(model, tokenizer, defaults, host.context, host.guides)
