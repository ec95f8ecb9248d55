"""Putting requests to one model together along their first dimension, and taking results apart."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from onecopy.errors import InferenceFailed, OnecopyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onecopy.nn.backends.backend import Array, TensorModel

    Inputs = Sequence[Array | None]
    Outcome = Sequence[Array] | OnecopyError

log = logging.getLogger("onecopy.nn")


class Batches:
    """Runs requests on a model, several at once where it can."""

    def __init__(self, model: TensorModel) -> None:
        self._model = model
        self._limit = model.batch

    def run(self, requests: Sequence[Inputs]) -> Iterator[tuple[int, Outcome]]:
        """Yield the outputs of each request by its number, or its error; as if it ran alone.

        They may lie in the model's own memory: use them before the next is asked for.
        """
        if len(requests) == 1:
            yield 0, self._alone(requests[0])
            return
        for group in groups(requests, self._limit):
            together = self._together([requests[each] for each in group])
            if together is None:
                for each in group:
                    yield each, self._alone(requests[each])
            else:
                yield from zip(group, together, strict=True)

    def _together(self, requests: Sequence[Inputs]) -> list[Sequence[Array]] | None:
        """Return the outputs of several requests; None if they have to be run one by one."""
        import numpy as np

        if len(requests) == 1:
            return None
        outputs = self._alone([_joined(each) for each in zip(*requests, strict=True)])
        if isinstance(outputs, OnecopyError):
            return None  # One of them is to blame, and shall fail alone.
        rows = [rows_of(each) for each in requests]
        if any(each.ndim == 0 or each.shape[0] != sum(rows) for each in outputs):
            log.warning("a model's outputs do not have its inputs' rows: it gets no more batches")
            self._limit = 1
            return None
        parts = [np.split(each, np.cumsum(rows)[:-1]) for each in outputs]
        return [[part[number] for part in parts] for number in range(len(requests))]

    def _alone(self, inputs: Inputs) -> Outcome:
        try:
            return self._model.infer(inputs)
        except OnecopyError as error:
            return error
        except MemoryError:
            return InferenceFailed("the model ran out of memory; give it smaller inputs")
        except Exception as error:
            log.exception("a model failed")
            return InferenceFailed(f"the model failed: {type(error).__name__}: {error}")


def _joined(arrays: Inputs) -> Array | None:
    import numpy as np

    given = [each for each in arrays if each is not None]
    return np.concatenate(given) if given else None


def groups(requests: Sequence[Inputs], limit: int) -> Iterator[list[int]]:
    """Yield the numbers of requests that can be run together: up to `limit` rows, in their order.

    Those fit that have the same types and, but for the first dimension, shapes.
    """
    growing: dict[Any, tuple[list[int], int]] = {}
    for number, inputs in enumerate(requests):
        rows = rows_of(inputs)
        if not 0 < rows < limit:
            yield [number]
            continue
        kind = tuple(each if each is None else (each.dtype.str, each.shape[1:]) for each in inputs)
        members, total = growing.pop(kind, ([], 0))
        if total + rows > limit:
            yield members
            members, total = [], 0
        growing[kind] = ([*members, number], total + rows)
    for members, _ in growing.values():
        yield members


def rows_of(inputs: Inputs) -> int:
    """Return the first dimension that all inputs share; 0 if they do not share one."""
    given = [each for each in inputs if each is not None]
    rows = {each.shape[0] if each.ndim else 0 for each in given}
    return rows.pop() if len(rows) == 1 else 0
