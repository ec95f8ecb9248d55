"""Data sets for the tests: importable, so that spawned workers find them."""

from __future__ import annotations

import os
import time

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info


class Rows(Dataset):
    """Sample `i` is four times `i`, as a tensor and as an array, and text."""

    def __init__(self, count: int = 12) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict:
        row = torch.full((4,), float(index))
        return {"row": row, "array": row.numpy(), "text": f"row {index}", "number": index}


class Stream(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        for number in range(info.id if info else 0, 12, info.num_workers if info else 1):
            yield torch.full((4,), float(number))


class Failing(Rows):
    def __getitem__(self, index: int) -> dict:
        if index == 5:
            raise ZeroDivisionError(f"sample {index}")
        return super().__getitem__(index)


class Killed(Rows):
    """The worker that gets to sample 5 dies like from the OOM killer, others have batches ready."""

    def __getitem__(self, index: int) -> dict:
        if index == 5:
            time.sleep(0.3)
            os.kill(os.getpid(), 9)
        return super().__getitem__(index)


class Odd:
    pass


class Odds(Rows):
    def __getitem__(self, index: int) -> Odd:
        return Odd()


def first(samples: list) -> object:
    return samples[0]


def pid(samples: list) -> int:
    return os.getpid()


def stacked(samples: list) -> tuple:
    return (np.stack([sample["array"] for sample in samples]), bytes(len(samples)))
