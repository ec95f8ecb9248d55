"""Putting requests to one model together along their first dimension, and taking results apart."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from onecopy.errors import InferenceFailed, OnecopyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onecopy.nn.backends.backend import Array, TensorModel

    Inputs = Sequence[Array]
    Outcome = Sequence[Array] | OnecopyError

log = logging.getLogger("onecopy.nn")


class Batches:
    """Runs requests on a model, several at once where it can."""

    def __init__(self, model: TensorModel) -> None:
        self._model = model
        self._limit = model.batch

    def run(self, requests: Sequence[Inputs]) -> list[Outcome]:
        """Return the outputs of each request, or its error; as if each had been run alone."""
        outcomes: dict[int, Outcome] = {}
        for group in groups(requests, self._limit):
            together = self._together([requests[each] for each in group])
            if together is None:
                outcomes.update((each, self._alone(requests[each])) for each in group)
            else:
                outcomes.update(zip(group, together, strict=True))
        return [outcomes[each] for each in range(len(requests))]

    def _together(self, requests: Sequence[Inputs]) -> list[Inputs] | None:
        """Return the outputs of several requests; None if they have to be run one by one."""
        import numpy as np

        if len(requests) == 1:
            return None
        inputs = [np.concatenate(each) for each in zip(*requests, strict=True)]
        outputs = self._alone(inputs)
        if isinstance(outputs, OnecopyError):
            return None  # One of them is to blame, and shall fail alone.
        rows = [each[0].shape[0] for each in requests]
        if any(each.ndim == 0 or each.shape[0] != sum(rows) for each in outputs):
            log.warning("a model's outputs do not have its inputs' rows: it gets no more batches")
            self._limit = 1
            return None
        ends = np.cumsum(rows)[:-1]
        return list(zip(*(np.split(each, ends) for each in outputs), strict=True))

    def _alone(self, inputs: Inputs) -> Outcome:
        try:
            return [as_array(each) for each in self._model.infer(inputs)]
        except OnecopyError as error:
            return error
        except MemoryError:
            return InferenceFailed("the model ran out of memory; give it smaller inputs")
        except Exception as error:
            log.exception("a model failed")
            return InferenceFailed(f"the model failed: {type(error).__name__}: {error}")


def as_array(output: Any) -> Array:
    """Return an output as an array whose bytes lie one after another as its shape says."""
    import numpy as np

    return np.asarray(output)


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
        kind = tuple((each.dtype.str, each.shape[1:]) for each in inputs)
        members, total = growing.pop(kind, ([], 0))
        if total + rows > limit:
            yield members
            members, total = [], 0
        growing[kind] = ([*members, number], total + rows)
    for members, _ in growing.values():
        yield members


def rows_of(inputs: Inputs) -> int:
    """Return the first dimension that all inputs share; 0 if they do not share one."""
    if not inputs or any(each.ndim == 0 for each in inputs):
        return 0
    rows = {each.shape[0] for each in inputs}
    return rows.pop() if len(rows) == 1 else 0
