"""Distil a teacher into a student, with torchrun; each host has the teacher once."""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import onecopy

TEMPERATURE = 2.0


def build(width: int) -> nn.Module:
    """Return a classifier of 16 numbers."""
    return nn.Sequential(nn.Linear(16, width), nn.GELU(), nn.Linear(width, 10))


def teacher_of(stack: ExitStack, width: int) -> Any:
    """Return this host's teacher; its first rank has the store and saves it."""
    name = f"distillation-{os.environ['TORCHELASTIC_RUN_ID']}"
    if os.environ["LOCAL_RANK"] == "0":
        store = stack.enter_context(onecopy.start(name, capacity="1GiB"))
        store.save_module("teacher", build(width).eval(), pin=True)
    else:
        store = stack.enter_context(onecopy.connect(name, timeout=60))
    return store.load_module("teacher", timeout=60)


def distance(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Return how far the student's softened predictions are from the teacher's."""
    return nn.functional.kl_div(
        (student / TEMPERATURE).log_softmax(-1),
        (teacher / TEMPERATURE).softmax(-1),
        reduction="batchmean",
    )


def train(student: nn.Module, teacher: nn.Module, steps: int) -> list[float]:
    """Return the loss of each step."""
    optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
    losses = []
    for _ in range(steps):
        batch = torch.randn(64, 16)
        with torch.inference_mode():
            targets = teacher(batch)
        loss = distance(student(batch), targets.clone())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def main() -> None:
    """Train on all ranks; the first tells the loss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--width", type=int, default=512)
    options = parser.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    torch.manual_seed(dist.get_rank())
    with ExitStack() as stack:
        teacher = teacher_of(stack, options.width)
        losses = train(DistributedDataParallel(build(32)), teacher, options.steps)
        dist.barrier()  # The store belongs to the first rank: it must not go before the others.
    if dist.get_rank() == 0:
        print(f"loss {losses[0]:.4f} at first, {losses[-1]:.4f} at the end")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
