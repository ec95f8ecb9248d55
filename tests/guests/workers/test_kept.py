"""How many descriptors a worker keeps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from onecopy import LimitReached
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.handle import Guest
from onecopy.guests.workers.kept import Kept
from onecopy.guests.workers.pool import Pool
from tests.guests.tokenizers_of import byte_level

torch = pytest.importorskip("torch")

GUEST = """
#include "onecopy.h"
OC_EXPORT int mid_process(void) { return oc_allow(0); }
"""


def test_all_fit_or_none_is_kept() -> None:
    kept = Kept()
    kept.add({"one": kept.limit - 2, "none": 0})
    with pytest.raises(LimitReached, match="more workers"):
        kept.add({"two": 1, "three": 2})
    kept.add({"two": 2})
    kept.remove("one", "one", "unknown")
    assert len(kept) == 2


def test_who_wants_more_than_a_worker_has_room_for_is_refused_and_costs_nobody(
    build: Callable[..., bytes],
) -> None:
    """Else the worker would lose descriptors of a message, and end: with all that lives there."""
    windows = {str(i): torch.ones(1) for i in range(3)}
    with (
        Pool(workers=1, guest_ms=5000, step_ms=60_000) as pool,
        Vocabulary.from_tokenizer(byte_level()) as vocabulary,
        Controllers(None, vocabulary, pool, batch=4) as controllers,
    ):
        (worker,) = pool.workers
        module = pool.module(build(GUEST))
        worker.kept.limit = 7
        first, second = (controllers.open(module, windows=windows, copy=True) for _ in range(2))
        with pytest.raises(LimitReached, match="room for 7"):
            controllers.open(module, windows=windows, copy=True)
        with Guest(module, streams=[torch.ones(1)], copy=True, pool=pool):
            assert len(worker.kept) == 7
            with pytest.raises(LimitReached):
                Guest(module, streams=[torch.ones(1)], copy=True, pool=pool)
        second.close()
        third = controllers.open(module, windows=windows, copy=True)
        assert controllers.step({first: [], third: []}).outcomes[third].constrained
        assert pool.stats()["restarts"] == 0
        assert controllers._crew.roster.free == 2
    assert len(worker.kept) == 0
