"""Vectors as tensors in a store."""

from __future__ import annotations

import numpy as np
import pytest

import onecopy
from onecopy.agents.grants.memory.segments import PREFIX, Segment, Segments


@pytest.fixture
def store():
    with onecopy.start("segments", capacity="64MiB") as store:
        yield store


def rows(*vectors: list[float]) -> list[tuple[int, bytes]]:
    return [(10 + i, np.array(each, np.float32).tobytes()) for i, each in enumerate(vectors)]


def test_the_nearest_come_first() -> None:
    segment = Segment.of(1, rows([1, 0], [0, 1], [0.6, 0.8]))
    found = segment.nearest(np.array([0, 1], np.float32), 2)
    assert [number for _, number in found] == [11, 12]
    assert [score for score, _ in found] == pytest.approx([1, 0.8])


def test_only_the_version_that_is_wanted_is_found(store) -> None:
    segments = Segments(store)
    assert segments.find(b"owner", 0, 1) is None
    segments.put(b"owner", 0, Segment.of(1, rows([1, 0])))
    segments.put(b"owner", 0, Segment.of(2, rows([0, 1])))
    assert segments.find(b"owner", 0, 1) is None
    found = segments.find(b"owner", 0, 2)
    assert found is not None
    assert found.vectors.tolist() == [[0, 1]]
    segments.drop(b"owner", 0)
    segments.drop(b"owner", 0)
    assert segments.find(b"owner", 0, 2) is None


def test_long_names_of_owners_are_no_trouble(store) -> None:
    segments = Segments(store)
    for owner in (b"x" * 5000, b"x" * 5001, "é\0/".encode()):
        segments.put(owner, 0, Segment.of(len(owner), rows([1, 0])))
    assert len(store.names(PREFIX)) == 3
