"""A checkpoint saved by four ranks, as a safetensors file, and that as a checkpoint for two."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from safetensors.torch import save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

import onecopy
from onecopy.distributed import StoreReader, StoreWriter
from onecopy.tensors.checkpoint import open_safetensors

STORE = "example-conversion"
SIZE = 256


def weights() -> dict[str, torch.Tensor]:
    """What the ranks have trained."""
    return {
        f"layer.{n}.weight": torch.arange(float(SIZE * SIZE)).view(SIZE, SIZE) + n for n in range(4)
    }


def sharded(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Cut every tensor by rows, one piece for each rank."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    return {name: distribute_tensor(value, mesh, [Shard(0)]) for name, value in tensors.items()}


def train(rank: int, ranks: int, meeting: str) -> None:
    """Save a sharded state dict."""
    dist.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=ranks)
    with onecopy.connect(STORE) as store:
        dcp.save(sharded(weights()), storage_writer=StoreWriter(store, "trained"))
    dist.destroy_process_group()


def serve(rank: int, ranks: int, meeting: str) -> None:
    """Load a sharded state dict, and look at one's own rows."""
    dist.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=ranks)
    state = sharded({name: torch.zeros_like(value) for name, value in weights().items()})
    with onecopy.connect(STORE) as store:
        dcp.load(state, storage_reader=StoreReader(store, "imported"))
    expected = sharded(weights())
    assert all(state[name].to_local().equal(expected[name].to_local()) for name in state)
    print(f"rank {rank} of {ranks} has its rows")
    dist.destroy_process_group()


def run(rank: Callable[[int, int, str], None], ranks: int, meeting: str) -> None:
    """Run that many ranks: forked, for importing torch takes longer than all else here."""
    mp.start_processes(rank, (ranks, meeting), ranks, start_method="fork")


def to_safetensors(store: onecopy.Store, prefix: str, path: Path) -> None:
    """Put a checkpoint together, and write it to a file."""
    reader = StoreReader(store, prefix)
    found = reader.read_metadata().state_dict_metadata
    state = {
        name: torch.empty(each.size, dtype=each.properties.dtype)
        for name, each in found.items()
        if hasattr(each, "size")  # tensors; other objects have no place in the file
    }
    dcp.load(state, storage_reader=reader)
    save_file(state, path)


def from_safetensors(path: Path, store: onecopy.Store, prefix: str) -> None:
    """Make a file a checkpoint: mapped, and copied once, into the store."""
    dcp.save(open_safetensors(path), storage_writer=StoreWriter(store, prefix))


def main() -> None:
    """Save, convert, convert back, load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trained-by", type=int, default=4)
    parser.add_argument("--served-by", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)  # A forked child must not wait for its parent's threads.
    with tempfile.TemporaryDirectory() as folder, onecopy.start(STORE, capacity="64MiB") as store:
        file = Path(folder) / "model.safetensors"
        run(train, options.trained_by, f"{folder}/train")
        to_safetensors(store, "trained", file)
        print(f"{file.name}: {file.stat().st_size} bytes")
        from_safetensors(file, store, "imported")
        run(serve, options.served_by, f"{folder}/serve")


if __name__ == "__main__":
    main()
