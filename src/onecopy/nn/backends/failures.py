"""What libraries raise becomes errors of ours: theirs have no class in common, and any text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from onecopy.errors import InferenceFailed, InvalidModel, OnecopyError

_LONGEST = 2000


@contextmanager
def loading(library: str) -> Iterator[None]:
    """Within this block a library loads a model: what it raises is `InvalidModel`."""
    try:
        yield
    except OnecopyError:
        raise
    except Exception as error:
        raise InvalidModel(f"{library} does not load it: {reason(error)}") from error


@contextmanager
def computing(library: str) -> Iterator[None]:
    """Within this block a library computes: what it raises is `InferenceFailed`."""
    try:
        yield
    except OnecopyError:
        raise
    except Exception as error:
        raise InferenceFailed(f"{library}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Return an error's kind and text, cut: a hostile model's names may be of any length."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text[:_LONGEST]}" if text else type(error).__name__
