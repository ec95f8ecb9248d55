"""Requests that are put together give what they give alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import InferenceFailed, OnecopyError
from onecopy.nn.service.batching import Batches, groups, rows_of


class _Model:
    """y = 3 * x + 1 and the sums of rows; refuses 13, and returns memory of its own."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.runs: list[int] = []

    def infer(self, inputs):
        rows = inputs[0].shape[0]
        self.runs.append(rows)
        if (inputs[0] == 13).any():
            raise InferenceFailed("thirteen")
        if len(inputs) > 1 and inputs[1] is not None and inputs[1].shape[0] != rows:
            raise InferenceFailed("rows differ")
        self.memory = inputs[0] * 3 + 1
        return [self.memory, inputs[0].reshape(rows, -1).sum(axis=1)]


_REQUESTS = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.sampled_from([(), (2,), (3,), (2, 2)]),
        st.sampled_from(["int32", "float64"]),
        st.integers(0, 13),
        st.sampled_from(["none", "same", "other", "absent"]),
    ),
    max_size=8,
)


def _inputs(rows, shape, dtype, value, second):
    x = (np.arange(rows * int(np.prod(shape))) % 5 + value).astype(dtype).reshape(rows, *shape)
    more = {"none": [None], "same": [x], "other": [np.zeros((rows + 1, 1))], "absent": []}
    return [x, *more[second]]


def _said(outcome):
    if isinstance(outcome, OnecopyError):
        return str(outcome)
    return [(each.tolist(), each.dtype.str, each.shape) for each in outcome]


@given(requests=_REQUESTS, batch=st.integers(1, 9))
def test_the_results_are_those_of_single_runs(requests, batch) -> None:
    inputs = [_inputs(*each) for each in requests]
    alone = [_said(next(iter(Batches(_Model(1)).run([each])))[1]) for each in inputs]
    together = {number: _said(outcome) for number, outcome in Batches(_Model(batch)).run(inputs)}
    assert [together[number] for number in range(len(inputs))] == alone


@given(requests=_REQUESTS, batch=st.integers(1, 9))
def test_groups_fit_and_hold_every_request_once(requests, batch) -> None:
    inputs = [_inputs(*each) for each in requests]
    found = list(groups(inputs, batch))
    assert sorted(number for group in found for number in group) == list(range(len(inputs)))
    for group in found:
        assert len(group) == 1 or sum(rows_of(inputs[each]) for each in group) <= batch
        assert group == sorted(group)


def test_what_fits_is_run_at_once() -> None:
    model = _Model(8)
    list(Batches(model).run([_inputs(2, (3,), "int32", 1, "absent") for _ in range(4)]))
    assert model.runs == [8]


def test_one_bad_request_fails_alone() -> None:
    model = _Model(8)
    good, bad = _inputs(1, (), "int32", 1, "absent"), _inputs(1, (), "int32", 13, "absent")
    outcomes = dict(Batches(model).run([good, bad, good]))
    assert isinstance(outcomes[1], InferenceFailed)
    assert _said(outcomes[0]) == _said(outcomes[2]) == _said(Batches(_Model(1))._alone(good))


def test_outputs_without_the_rows_of_the_inputs_end_batches() -> None:
    class Mean(_Model):
        def infer(self, inputs):
            self.runs.append(inputs[0].shape[0])
            return [inputs[0].mean(axis=0)]

    model = Mean(8)
    batches = Batches(model)
    ones, twos = (_inputs(1, (3,), "float64", each, "absent") for each in (1, 2))
    for _ in range(2):
        outcomes = dict(batches.run([ones, twos]))
        assert [outcomes[0][0].tolist(), outcomes[1][0].tolist()] == [[1, 2, 3], [2, 3, 4]]
    assert model.runs == [2, 1, 1, 1, 1]


def test_a_model_that_fails_in_its_own_way_is_told() -> None:
    class Buggy(_Model):
        def infer(self, inputs):
            raise ZeroDivisionError("oh")

    ((_, outcome),) = Batches(Buggy(8)).run([_inputs(1, (), "int32", 1, "absent")])
    assert isinstance(outcome, InferenceFailed)
    assert "ZeroDivisionError: oh" in str(outcome)
