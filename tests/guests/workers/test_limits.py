"""With what a pool can be made."""

from __future__ import annotations

import pytest

from onecopy.errors import InvalidArgument
from onecopy.guests.workers.limits import Limits, checked_engines
from onecopy.guests.workers.pool import Pool


@pytest.mark.parametrize(
    "limit",
    ["guest_ms", "step_ms", "start_ms", "grace_ms", "worker_memory", "per_tenant", "memory_limit"],
)
def test_limits_under_which_nothing_could_run_are_refused(limit: str) -> None:
    for value in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InvalidArgument, match=f"{limit}="):
            Pool(**{limit: value})  # type: ignore[arg-type]


def test_llguidance_is_always_among_the_engines() -> None:
    assert checked_engines(()) == ("llguidance",)
    with pytest.raises(InvalidArgument, match="no engine"):
        checked_engines(("another",))


def test_what_is_within_reason_is_kept_as_it_is() -> None:
    limits = Limits(10, 50, 200, 500, 64 << 20, 1 << 30, per_tenant=2)
    assert (limits.guest_ms, limits.per_tenant) == (10, 2)
