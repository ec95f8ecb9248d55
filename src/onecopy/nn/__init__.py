"""WASI-NN: guests that nobody here wrote run inference on models of the host (docs/nn.md).

from onecopy import nn

host = nn.Host({"tiny": "entry"}, store=store)     models by name, each loaded once
host.load("tiny").run([array])                     what guests do, for Python programs
nn.save_tokenizer(store, "llm", tokenizer)         beside a text model of a store
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.lazy import exports

if TYPE_CHECKING:
    from onecopy.nn.backends.backend import Port
    from onecopy.nn.backends.text.tokenizer import save_tokenizer
    from onecopy.nn.context import Context
    from onecopy.nn.graph import Graph
    from onecopy.nn.host import Host
    from onecopy.nn.model import Model

__all__ = ["Context", "Graph", "Host", "Model", "Port", "save_tokenizer"]

# Where each public name lives; imported when first asked for.
_HOMES: dict[str, str | None] = {
    "Context": "context",
    "Graph": "graph",
    "Host": "host",
    "Model": "model",
    "Port": "backends.backend",
    "save_tokenizer": "backends.text.tokenizer",
}

__getattr__, __dir__ = exports(__name__, _HOMES)
