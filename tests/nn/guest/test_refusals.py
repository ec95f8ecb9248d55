"""Every error that a model's side may raise has a number, and the log hears of the first few."""

from __future__ import annotations

import pytest

from onecopy import errors
from onecopy.nn.guest.refusals import Refused, Reporter, errno_of
from onecopy.nn.standard import Errno


@pytest.mark.parametrize(
    ("error", "errno"),
    [
        (errors.InvalidArgument("x"), Errno.INVALID_ARGUMENT),
        (errors.InvalidModel("x"), Errno.INVALID_ARGUMENT),
        (errors.BackendMissing("x"), Errno.INVALID_ENCODING),
        (errors.ModelNotFound("x"), Errno.MODEL_NOT_FOUND),
        (errors.UnsupportedOperation("x"), Errno.UNSUPPORTED_OPERATION),
        (errors.AccessDenied("x"), Errno.UNSUPPORTED_OPERATION),
        (errors.InferenceFailed("x"), Errno.RUNTIME_ERROR),
        (errors.BackendLost("x"), Errno.RUNTIME_ERROR),
        (errors.ProtocolError("x"), Errno.RUNTIME_ERROR),
        (errors.EndOfSequence("x"), Errno.END_OF_SEQUENCE),
        (errors.ContextFull("x"), Errno.CONTEXT_FULL),
        (errors.PromptTooLong("x"), Errno.PROMPT_TOO_LONG),
        (errors.StoreFull("x"), Errno.TOO_LARGE),
        (errors.LimitReached("x"), Errno.TOO_LARGE),
        (MemoryError(), Errno.TOO_LARGE),
        (Refused(Errno.BUSY, "x"), Errno.BUSY),
    ],
)
def test_an_error_has_the_number_that_its_guests_know(error, errno):
    assert errno_of(error) == errno


def test_every_error_of_ours_has_a_number():
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    assert all(errno_of(kind("x")) for kind in kinds if issubclass(kind, errors.OnecopyError))


def test_a_bug_has_none():
    assert errno_of(TypeError()) is None


def test_the_log_hears_of_the_first_few_and_not_of_the_end_of_a_text():
    said: list[str] = []
    report = Reporter(said.append)
    report("compute_single", Errno.END_OF_SEQUENCE, errors.EndOfSequence("x"))
    for number in range(100):
        report("compute", Errno.BUSY, Refused(Errno.BUSY, f"no. {number}"))
    assert said[0] == "compute: busy: no. 0"
    assert len(said) == 32
    assert said[-1].endswith("(further ones are not told)")
