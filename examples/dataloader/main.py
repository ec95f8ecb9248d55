"""One training loop, with torch's DataLoader and with onecopy's."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from torch.utils.data import DataLoader as TorchLoader

import onecopy
from onecopy.data import DataLoader
from onecopy.units import format_size

SAMPLES = 32  # of a batch


class Images:
    """Decodes images: from bytes to float32."""

    def __init__(self, nbytes: int, count: int) -> None:
        self.encoded = np.random.default_rng(0).integers(0, 256, (SAMPLES, nbytes // 4), np.uint8)
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": self.encoded[index % SAMPLES].astype(np.float32), "label": index}


def in_dev_shm() -> int:
    """Bytes in /dev/shm."""
    status = os.statvfs("/dev/shm")
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def train(loader: Iterable[Any]) -> tuple[float, float, int]:
    """Return the sum over all images, seconds for each batch, and the peak of /dev/shm."""
    total, peak, count, begin = 0.0, 0, 0, time.perf_counter()
    for batch in loader:
        total += float(batch["image"].double().sum())
        peak, count = max(peak, in_dev_shm()), count + 1
    return total, (time.perf_counter() - begin) / count, peak


def main() -> None:
    """Run both loops, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=64, help="size of a batch")
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    images = Images((options.mib << 20) // SAMPLES, SAMPLES * options.batches)
    common = {"batch_size": SAMPLES, "num_workers": options.workers}
    with onecopy.start("example-dataloader", capacity=(options.mib << 20) * 16) as store:
        loaders = {
            "torch": TorchLoader(images, **common),
            "onecopy": DataLoader(images, store=store, **common),
        }
        results = {name: train(loader) for name, loader in loaders.items()}
    for name, (_, seconds, peak) in results.items():
        print(f"{name:8} {seconds * 1e3:7.1f} ms a batch, /dev/shm up to {format_size(peak)}")
    assert results["torch"][0] == results["onecopy"][0]


if __name__ == "__main__":
    main()
