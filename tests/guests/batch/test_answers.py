"""What a step says of each sequence."""

from __future__ import annotations

import numpy as np
import pytest

from onecopy.errors import GuestError
from onecopy.guests.batch import answers
from onecopy.guests.batch.answers import Allowed, Failed, Step, Suspended
from onecopy.guests.batch.masks import Masks
from onecopy.guests.batch.rows import Rows

torch = pytest.importorskip("torch")

ERROR = GuestError("it failed")


@pytest.mark.parametrize(
    ("answer", "sampled"),
    [
        (answers.ALLOWED, True),
        (answers.FREE, True),
        (answers.STOP, False),
        (Suspended("its worker is late"), False),
        (answers.Chosen(5), False),
        (answers.Splice(0, (1,)), False),
        (answers.Fork(()), False),
        (Failed(ERROR, "free"), True),
        (Failed(ERROR, "stop"), False),
        (Failed(ERROR, "suspend"), False),
    ],
)
def test_a_token_is_sampled_only_where_a_row_says_which(answer, sampled: bool) -> None:
    assert answers.samples(answer) is sampled


def test_an_answer_in_time_is_constrained() -> None:
    assert Allowed().constrained
    assert not answers.FREE.constrained


@pytest.mark.parametrize("biases", [False, True])
def test_a_step_shows_masks_and_biases(biases: bool) -> None:
    rows = Rows.make(2, 100, biases=biases)
    masks = Masks(rows)
    step = Step(masks, {}, (), 0.5)
    masks.allow_only(1, 70)
    assert (step.mask.dtype, tuple(step.mask.shape)) == (torch.int32, (2, 4))
    assert step.mask_array.tolist()[1] == [0, 0, 1 << 6, 0]
    assert np.array_equal(step.mask.numpy().view(np.uint32), step.mask_array)
    assert (step.biases is None) is not biases
    if step.biases is not None:
        assert torch.isfinite(step.biases[1]).nonzero().flatten().tolist() == [70]
    rows.close()
