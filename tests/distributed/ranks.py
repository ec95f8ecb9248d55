"""What the ranks of a test do: `python -m tests.distributed.ranks FOLDER ROLE WORLD_SIZE …`.

The ranks are forked once torch is imported, which takes longer than all else; so is what the
first step of an optimizer would import in each of them.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import torch
import torch._dynamo
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

import onecopy
from onecopy.distributed import StoreReader, StoreWriter

ROOT = Path(__file__).resolve().parents[2]
NAME, MODEL = "run/1", "run/1/model"


def run(folder: Path, **roles: int) -> subprocess.CompletedProcess[str]:
    """Do each role in so many processes with a process group; 0 means that all succeeded."""
    arguments = [str(each) for role in roles.items() for each in role]
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", __name__, str(folder), *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )


def weights() -> dict[str, torch.Tensor]:
    """Sizes that no number of ranks divides."""
    return {"odd": torch.arange(35.0).reshape(7, 5), "wide": torch.arange(66.0).reshape(6, 11)}


def tensors(mesh: DeviceMesh, values: dict[str, torch.Tensor]) -> dict[str, DTensor]:
    return {
        "rows": distribute_tensor(values["odd"], mesh, [Shard(0)]),
        "columns": distribute_tensor(values["wide"], mesh, [Shard(1)]),
        "whole": distribute_tensor(values["odd"], mesh, [Replicate()]),
    }


def state(mesh: DeviceMesh, factor: float) -> dict:
    values = {name: value * factor for name, value in weights().items()}
    return {
        "sharded": tensors(mesh, values),
        "plain": values["odd"],
        "scalar": torch.tensor(3.0) * factor,
        "step": int(100 * factor),
        "nested": {"list": [torch.ones(3) * factor, "text" if factor else ""]},
    }


def same(a: object, b: object) -> bool:
    if isinstance(a, DTensor):
        return torch.equal(a.full_tensor(), b.full_tensor())
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def save(store: onecopy.Store, mesh: DeviceMesh) -> None:
    dcp.save(state(mesh, 1), storage_writer=StoreWriter(store, NAME))
    layers, optimizer = model(mesh, 1)
    module, its = get_state_dict(layers, optimizer)
    dcp.save({"model": module, "optimizer": its}, storage_writer=StoreWriter(store, MODEL))
    whole = {name: each.full_tensor() for name, each in momenta(optimizer).items()}
    if mesh.get_rank() == 0:
        store.save("expected", whole)


def load(store: onecopy.Store, mesh: DeviceMesh) -> None:
    target = state(mesh, 0)
    dcp.load(target, storage_reader=StoreReader(store, NAME))
    assert same(target, state(mesh, 1))
    layers, optimizer = model(mesh, 2)
    module, its = get_state_dict(layers, optimizer)
    dcp.load({"model": module, "optimizer": its}, storage_reader=StoreReader(store, MODEL))
    set_state_dict(layers, optimizer, model_state_dict=module, optim_state_dict=its)
    found = {name: each.full_tensor() for name, each in momenta(optimizer).items()}
    assert same(found, store.load("expected"))


def model(mesh: DeviceMesh, seed: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """An FSDP2 model after one step of training, the same for any number of ranks."""
    torch.manual_seed(seed)
    layers = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3))
    fully_shard(layers, mesh=mesh)
    optimizer = torch.optim.AdamW(layers.parameters(), lr=0.1)
    layers(torch.ones(4, 5)).sum().backward()
    optimizer.step()
    return layers, optimizer


def momenta(optimizer: torch.optim.Optimizer) -> dict[str, DTensor]:
    """Every parameter, and what the optimizer knows about it."""
    (group,) = optimizer.param_groups
    found = {}
    for number, parameter in enumerate(group["params"]):
        found[f"{number}"] = parameter.detach()
        found[f"{number}.momentum"] = optimizer.state[parameter]["exp_avg"]
    return found


def crash(store: onecopy.Store, mesh: DeviceMesh) -> None:
    """The last rank dies after it has saved its part."""
    writer = StoreWriter(store, NAME, overwrite=True)
    if mesh.get_rank() == mesh.size() - 1:
        write = writer.write_data

        def write_and_die(*arguments: object) -> None:
            write(*arguments)
            os.kill(os.getpid(), 9)

        writer.write_data = write_and_die
    dcp.save(state(mesh, 2), storage_writer=writer)


def begin(role: str, rank: int, world_size: int, rendezvous: str) -> None:
    dist.init_process_group("gloo", f"file://{rendezvous}", rank=rank, world_size=world_size)
    with onecopy.connect("test", timeout=5) as store:
        globals()[role](store, init_device_mesh("cpu", (world_size,)))
    dist.destroy_process_group()


def failures(folder: str, role: str, size: int) -> int:
    """Do a role, and return how many ranks have failed."""
    fork = multiprocessing.get_context("fork")
    ranks = [
        fork.Process(target=begin, args=(role, rank, size, f"{folder}/{role}"))
        for rank in range(size)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    return sum(process.exitcode != 0 for process in ranks)


def main() -> int:
    folder, *told = sys.argv[1:]
    sizes = map(int, told[1::2])
    return sum(failures(folder, *role) for role in zip(told[::2], sizes, strict=True))


if __name__ == "__main__":
    sys.exit(main())
