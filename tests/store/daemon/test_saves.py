from __future__ import annotations

import os
from typing import Any

import pytest

from onecopy.errors import InvalidArgument
from onecopy.segments import region
from onecopy.store.daemon.saves import check_fields, check_spec
from onecopy.store.messages import Save


def save(**changed: Any) -> Save:
    plain = {"name": "n", "size": 4096, "data_start": 64, "spec_offset": 128, "nbytes": 64}
    return Save(**{**plain, "spec_nbytes": 30, "spec": b"s", **changed})


def test_a_plain_one_is_fine() -> None:
    check_fields(save(), b"n")


@pytest.mark.parametrize(
    "changed",
    [
        {"data_start": 0},
        {"data_start": 200},
        {"spec_offset": 4090},
        {"spec_nbytes": -1},
        {"nbytes": -1},
        {"ttl": 0.0},
        {"ttl": float("nan")},
        {"ttl": float("inf")},
        {"kind": 99},
        {"kind": region.FILE, "mutable": True},
        {"parts": True, "mutable": True},
        {"size": 1 << 63},
        {"nbytes": 1 << 63},
        {"spec": b"s" * 512},
    ],
)
def test_what_contradicts_itself_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        check_fields(save(**changed), b"n")


def test_a_spec_that_lies_apart_comes_along_sealed() -> None:
    apart = save(apart=True, spec=b"", spec_nbytes=3)
    fd = region.create("onecopy-test")
    try:
        region.write(fd, [b"abc"])
        region.seal(fd)
        assert check_spec(apart, [0, fd]) == fd
        assert check_spec(save(), [0]) == 0
        for message, fds in ((apart, [0]), (save(), [0, fd])):
            with pytest.raises(InvalidArgument, match="descriptors"):
                check_spec(message, fds)
    finally:
        os.close(fd)
