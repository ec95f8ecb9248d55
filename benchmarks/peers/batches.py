"""Batches from DataLoader workers: what one takes to arrive, and what shared memory they need."""

from __future__ import annotations

import os
import time
from typing import Any

import torch

from benchmarks.peers.base import ITEM, Peer, arrays

SAMPLES = 64  # of a batch
WARM_UP = 4


class Samples:
    """As many different samples as a batch has, over and over."""

    def __init__(self, size: int, kind: str, batches: int) -> None:
        rows = torch.ones(SAMPLES, size // SAMPLES // ITEM)
        self.rows: Any = rows if kind == "tensors" else rows.numpy()
        self.length = SAMPLES * batches

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.rows[index % SAMPLES]


def stack(samples: list[Any]) -> Any:
    """A batch of arrays stays an array; torch's own function would make a tensor of it."""
    import numpy

    return numpy.stack(samples)


def measure(peer: Peer, size: int, kind: str, count: int) -> list[Any]:
    """Nanoseconds of each batch, and the peaks of /dev/shm and of what a store holds."""
    options = {} if kind == "tensors" else {"collate_fn": stack}
    samples = Samples(size, kind, WARM_UP + count + 2)
    batches = iter(peer.loader(samples, batch_size=SAMPLES, num_workers=1, **options))
    times, peaks = [], []
    for number in range(WARM_UP + count):
        begin = time.perf_counter_ns()
        batch = next(batches)
        took = time.perf_counter_ns() - begin
        peaks.append((_dev_shm(), peer.held()))
        _check(batch, size)
        if number >= WARM_UP:
            times.append(took)
    return [times, *map(max, zip(*peaks, strict=True))]


def _check(batch: Any, size: int) -> None:
    """Every number is read, as a training step would."""
    (array,) = arrays(batch)
    if float(array.sum()) != size // ITEM:
        raise RuntimeError(f"a batch of {tuple(array.shape)} has wrong values")


def _dev_shm() -> int:
    status = os.statvfs("/dev/shm")
    return (status.f_blocks - status.f_bfree) * status.f_frsize
