"""What a backend is: the contract between the process that holds a model and its library.

A backend is a class without arguments, found by its name among the entry points of the group
`onecopy.nn`; what it imports, it imports in `load`. Each model has a process of its own with it,
which calls it from one thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

GROUP = "onecopy.nn"
"""The group of entry points in which backends are registered."""


class Port(msgspec.Struct, frozen=True):
    """An input or an output of a model."""

    name: str
    dtype: str
    """One of `standard.DTYPES`, or empty if the model does not say."""
    shape: tuple[int | str, ...] | None = None
    """A text stands for a dimension that may vary; None if the model does not say."""
    optional: bool = False
    """The model can do without this input."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model comes from: an entry of a store, files, or bytes that a guest brought."""

    backend: str
    """The name of an entry point of the group `onecopy.nn`."""
    store: str = ""
    entry: str = ""
    """With `store`: the name of an entry."""
    files: tuple[str, ...] = ()
    """Paths; what a guest brought comes as `/proc/self/fd/<n>`, in the guest's order."""
    foreign: bool = False
    """A guest brought it: nothing in it may be run or unpickled, nor other files be read for it."""
    options: Mapping[str, Any] = {}
    """What the backend understands; unknown ones are refused."""


class TensorModel(Protocol):
    """A loaded model from tensors to tensors."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    """Empty if the model does not say; after an `infer`, the names and types of its results."""
    batch: int
    """Up to how many rows of requests may be put together along the first dimension; 1 if never."""

    def infer(self, inputs: Sequence[Array | None]) -> Sequence[Array]:
        """Compute all outputs; the inputs lie in memory that is the caller's, and only to be read.

        None stands for an optional input that is not given; those at the end may be left out. The
        results are of `standard.DTYPES` and need not be contiguous; they may lie in the memory of
        the inputs or of the model, so copy them before either changes.

        Raises:
            InvalidArgument: inputs of a number, type or shape that the model does not take.
            InferenceFailed: the library refused, or failed.
        """
        ...


class TextSession(Protocol):
    """One conversation with a text model; a context of a guest has one."""

    def begin(self, prompt: bytes, options: Mapping[str, Any]) -> None:
        """Take the prompt, and forget what was generated before.

        Nothing is computed yet: the first `advance` reads the prompt. `metadata` says at once how
        long it is.

        Args:
            prompt: UTF-8.
            options: a guest's JSON of this request; they count before those of the graph.

        Raises:
            PromptTooLong: it does not fit into the context.
            InvalidArgument: an option has a value that it cannot have.
        """
        ...

    def advance(self) -> bytes:
        """Generate one more token and return its text.

        It may be empty, or end within a character.

        Raises:
            EndOfSequence: the model ended its text, or an option of the guest did (`n-predict`,
                `reverse-prompt`).
            ContextFull: there is no room for another token.
            InferenceFailed: this generation failed; `begin` starts another.
        """
        ...

    def metadata(self) -> Mapping[str, Any]:
        """Return what guests may ask about it, in the words of WasmEdge's GGML plugin."""
        ...

    def close(self) -> None:
        """Give back what the conversation holds; twice is fine."""
        ...


class TextModel(Protocol):
    """A loaded model that continues text."""

    concurrent: bool
    """Whether several threads may call sessions of it, each session by one at a time."""

    def session(self, options: Mapping[str, Any]) -> TextSession:
        """Open a conversation; the options are those of the graph, as a guest's JSON has them."""
        ...

    def embed(self, text: bytes, options: Mapping[str, Any]) -> Sequence[float]:
        """Return the embedding of a text.

        Raises:
            PromptTooLong: the model does not take so long a text at once.
            UnsupportedOperation: the model has none.
        """
        ...

    def close(self) -> None:
        """End what the model started, such as processes of guides; twice is fine."""
        ...


class Backend(Protocol):
    """A library that runs models.

    More may be there. `environment(source)` returns the names of environment variables that a
    process for the model needs. `beside(source)` returns the names of other entries of the store
    that the model is loaded with, if they are there: when one changes, it is another model.
    `remote = True` says that models are neither entries nor files, but elsewhere, under a name
    that is the option `model`.
    """

    encodings: tuple[str, ...]
    """The names of `standard.Encoding`, in lower case, that a guest may give for it."""
    suffixes: tuple[str, ...]
    """The endings of files for which it is taken when nobody names a backend, such as `.onnx`;
    `/config.json` is that of a checkpoint's folder."""

    def load(self, source: Source) -> TensorModel | TextModel:
        """Load a model.

        Raises:
            ModelNotFound: there is no such entry or file.
            InvalidModel: it is there, but is not a model for this backend.
            BackendMissing: the library is not installed; the text says what to install.
        """
        ...
