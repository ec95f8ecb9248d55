"""Answers of workers that fill no datagram."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from onecopy import LimitReached
from onecopy.guests.workers.pool import Pool
from onecopy.guests.workers.spill import NBYTES, Spill, new_spill
from onecopy.store import wire
from tests.guests.probing import WITH_PROBE, probe


@pytest.fixture
def spill() -> Iterator[Spill]:
    fd = new_spill()
    yield Spill(fd)
    os.close(fd)


@pytest.mark.parametrize("count", [0, 1, 5, wire.MESSAGE_LIMIT - 4, wire.MESSAGE_LIMIT, NBYTES])
def test_any_answer_comes_back_as_it_was(spill: Spill, count: int) -> None:
    answer = b"\x93" + os.urandom(count)[1:]
    sent = spill.put(answer)
    assert len(sent) + 4 <= wire.MESSAGE_LIMIT
    assert spill.take(sent) == answer


def test_a_shorter_answer_after_a_longer_one_is_not_mixed_up(spill: Spill) -> None:
    for byte, count in ((b"a", 900_000), (b"b", 300_000)):
        assert spill.take(spill.put(byte * count)) == byte * count


def test_an_answer_without_end_is_refused(spill: Spill) -> None:
    with pytest.raises(LimitReached, match="workers give"):
        spill.put(bytes(NBYTES + 1))


@pytest.mark.parametrize("sent", [b"\xc0", b"\xc0\xff\xff\xff\xff", b"\xc0" + bytes(9)])
def test_what_an_enemy_sends_is_no_more_than_bytes(spill: Spill, sent: bytes) -> None:
    assert len(spill.take(sent)) <= NBYTES


def test_the_segment_keeps_its_size(spill: Spill) -> None:
    fd = new_spill()
    for size in (0, 2 * NBYTES):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
    os.close(fd)


def test_a_worker_gives_long_answers_and_says_so_when_one_is_too_long() -> None:
    with Pool(services=WITH_PROBE) as pool:
        (worker,) = pool.workers
        assert probe(worker, "found = 'x' * 3_000_000") == "x" * 3_000_000
        with pytest.raises(LimitReached):
            probe(worker, "found = 'x' * 5_000_000")
        assert probe(worker, "found = 1") == "1"
        assert pool.workers == [worker]
