"""Several processes train the weights of one mutable module, without locks."""

from __future__ import annotations

import argparse
import multiprocessing

import torch
from torch import nn

import onecopy

STORE, MODEL = "hogwild", "model"


def batch(size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points, and on which side of a sphere each lies."""
    points = torch.randn(size, 8)
    return points, (points.square().sum(1) > 8).float()


def loss_of(model: nn.Module, size: int = 64) -> torch.Tensor:
    """Return the loss on fresh points."""
    points, labels = batch(size)
    return nn.functional.binary_cross_entropy_with_logits(model(points).squeeze(1), labels)


def work(rank: int, steps: int) -> None:
    """Train the shared weights for some steps."""
    torch.manual_seed(rank)
    torch.set_num_threads(1)
    with onecopy.connect(STORE, timeout=30) as store:
        model = store.load_module(MODEL)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()


def main() -> None:
    """Start the workers, and tell the loss before and after."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    torch.manual_seed(0)
    with onecopy.start(STORE, capacity="64MiB") as store:
        model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 1))
        store.save_module(MODEL, model, mutable=True)
        shared = store.load_module(MODEL)
        before = loss_of(shared, 4096).item()
        spawn = multiprocessing.get_context("spawn")
        tasks = [(rank, options.steps) for rank in range(options.workers)]
        with spawn.Pool(options.workers) as pool:
            pool.starmap(work, tasks)
        print(f"loss {before:.3f} before, {loss_of(shared, 4096).item():.3f} after")


if __name__ == "__main__":
    main()
