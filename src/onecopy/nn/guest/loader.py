"""What a guest's functions need of the models' side: `nn.broker` and `nn.graph` are that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Context(Protocol):
    """One execution of a graph after the other, with its inputs and outputs."""

    def set_input(self, index: int, dtype: str, shape: Sequence[int], data: memoryview, /) -> None:
        """Copy an input to where the backend reads it."""

    def compute(self) -> None:
        """Compute all outputs."""

    def output(self, index: int, /) -> memoryview:
        """Return the bytes of an output, until the next call of this context."""
        ...

    def compute_single(self) -> None:
        """Compute the next token of a text."""

    def output_single(self, index: int, /) -> memoryview:
        """Return the last token's bytes."""
        ...

    def finish_single(self) -> None:
        """End what `compute_single` began."""

    def close(self) -> None:
        """Drop it."""


class Graph(Protocol):
    """A loaded model."""

    @property
    def what(self) -> str:
        """Either `tensors` or `text`."""
        ...

    def context(self) -> Context:
        """Return a new context."""
        ...

    def close(self) -> None:
        """Drop it."""


class Loader(Protocol):
    """Finds models for a guest."""

    def load(self, name: str, config: str = "", /) -> Graph:
        """Return the graph of a name that the host knows."""
        ...

    def load_bytes(self, builders: Sequence[memoryview], encoding: str, target: str, /) -> Graph:
        """Return the graph of a model that the guest has brought."""
        ...
