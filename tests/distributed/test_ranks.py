"""Checkpoints between real processes with a gloo group, saved by some and loaded by others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp

import onecopy
from onecopy.distributed import StoreReader, StoreWriter
from tests.distributed.ranks import MODEL, NAME, run


@pytest.fixture
def store():
    with onecopy.start("test", capacity="64MiB") as store:
        yield store


@pytest.mark.parametrize(("saved_by", "loaded_by"), [(4, 2), (2, 4)])
def test_what_some_ranks_saved_other_ranks_load(
    store: onecopy.Store, tmp_path: Path, saved_by: int, loaded_by: int
) -> None:
    """DTensors, an FSDP2 model with its optimizer, plain tensors and other objects."""
    done = run(tmp_path, save=saved_by, load=loaded_by)
    assert done.returncode == 0, done.stderr
    parts = store.names(f"{MODEL}/.part-")
    assert len(parts) == saved_by


@pytest.mark.filterwarnings("ignore:.*torch.distributed is")
def test_a_save_whose_rank_dies_leaves_the_old_checkpoint(
    store: onecopy.Store, tmp_path: Path
) -> None:
    dcp.save({"plain": torch.ones(7, 5), "step": 1}, storage_writer=StoreWriter(store, NAME))
    assert run(tmp_path, crash=2).returncode == 2
    assert len(store.names(NAME)) > 2  # The parts of the crashed save.
    target = {"plain": torch.zeros(7, 5), "step": 0}
    dcp.load(target, storage_reader=StoreReader(store, NAME))
    assert target["step"] == 1
    assert target["plain"].equal(torch.ones(7, 5))
    dcp.save(target, storage_writer=StoreWriter(store, NAME, overwrite=True))
    assert len(store.names(NAME)) == 2
