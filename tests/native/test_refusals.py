"""Error numbers of the library, as errors that say what to do."""

import errno

import pytest

from onecopy.errors import InvalidArgument, LimitReached
from onecopy.native.refusals import check

MISUSES = {errno.ENOENT: "it has ended; make another one"}


def test_no_error_is_none():
    check(0, MISUSES, "drop some")


def test_out_of_addresses_is_a_limit_and_says_what_to_drop():
    with pytest.raises(LimitReached, match=r"ulimit -v.*; drop some") as caught:
        check(errno.ENOMEM, MISUSES, "drop some")
    assert caught.value.errno == errno.ENOMEM


def test_what_the_caller_did_wrong_is_said():
    with pytest.raises(InvalidArgument, match="make another one"):
        check(errno.ENOENT, MISUSES, "drop some")


def test_what_nobody_foresaw_is_named():
    with pytest.raises(InvalidArgument, match="Input/output error"):
        check(errno.EIO, MISUSES, "drop some")
