"""What becomes of sequences that failed, that were closed, and of what they had."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from onecopy import GuestError
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.messages import Ping
from onecopy.guests.workers.pool import Pool
from tests.conftest import open_files
from tests.guests.batch.asking import mask_after
from tests.guests.waiting import eventually

pytest.importorskip("numpy")
pytest.importorskip("torch")


@pytest.fixture
def controllers(vocabulary: Vocabulary, pool: Pool) -> Iterator[Controllers]:
    """A batch of eight."""
    with Controllers(None, vocabulary, pool, batch=8) as controllers:
        yield controllers


def test_what_is_closed_or_failed_is_not_forked(controllers: Controllers, scripted: bytes) -> None:
    sequence = controllers.open(scripted, "trap=1")
    controllers.step({sequence: []})
    with pytest.raises(GuestError):
        sequence.fork()
    sequence.close()
    with pytest.raises(GuestError, match="closed"):
        sequence.fork()


def test_nothing_is_left_of_controllers_that_were_closed(
    vocabulary: Vocabulary, pool: Pool, scripted: bytes
) -> None:
    def use() -> None:
        with Controllers(None, vocabulary, pool, batch=4) as controllers:
            for _ in range(3):
                family = controllers.open(scripted).fork(3)
                masks = [mask_after(controllers, each, []) for each in family]
                assert masks
                for each in family:
                    each.close()
            old = list(pool.workers)
            lost = controllers.open(scripted)
            os.kill(lost.station.worker.pid, signal.SIGKILL)
            eventually(lambda: pool.workers != old)
            mask_after(controllers, lost, [])
        eventually(lambda: len(pool.stats()["workers"]) == 2)
        for worker in pool.workers:
            worker.request(Ping())

    use()
    gc.collect()  # the pages of workers that are gone are mapped as long as these are known
    files, threads = open_files(), threading.active_count()
    for _ in range(3):
        use()
    gc.collect()
    eventually(lambda: open_files() <= files and threading.active_count() <= threads)
    assert all(each["guests"] == 0 for each in pool.stats()["workers"])
