from __future__ import annotations

import pytest

from onecopy import GuestError
from onecopy.guests.wasm.module import Module
from onecopy.guests.workers.offenders import Offenders
from onecopy.guests.workers.progress import culprit

MODULE = Module("ab" * 32, b"")
OTHER = Module("cd" * 32, b"")


def test_a_module_is_quarantined_when_it_has_cost_too_much() -> None:
    offenders = Offenders(limit=2)
    for count in range(2):
        assert offenders.count("me", MODULE) == count
        offenders.check("me", MODULE)
        offenders.blame("me", culprit(MODULE.digest))
    with pytest.raises(GuestError, match=r"abababababababab .* has cost 2 workers"):
        offenders.check("me", MODULE)
    assert offenders.counts() == {("me", "ab" * 8): 2}


def test_others_are_not_judged_by_that() -> None:
    offenders = Offenders(limit=1)
    offenders.blame("me", culprit(MODULE.digest))
    offenders.check("me", OTHER)
    offenders.check("you", MODULE)
