from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch.distributed.checkpoint as dcp

import onecopy
from onecopy.distributed import StoreReader, StoreWriter
from onecopy.errors import OnecopyError


@pytest.fixture
def store():
    """One way to open entries is enough here: checkpoints are made of ordinary ones."""
    with onecopy.start("test", capacity="64MiB") as store:
        yield store


@pytest.fixture
def save(store: onecopy.Store) -> Callable[..., None]:
    """Saves a state dict under `c`, from this process alone."""
    return lambda state, **options: dcp.save(
        state, storage_writer=StoreWriter(store, "c", **options)
    )


@pytest.fixture
def load(store: onecopy.Store) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Loads `c` into a state dict, and returns that."""

    def load(state: dict[str, Any], reader: StoreReader | None = None) -> dict[str, Any]:
        dcp.load(state, storage_reader=reader or StoreReader(store, "c"))
        return state

    return load


def cause(caught: pytest.ExceptionInfo[BaseException]) -> BaseException:
    """What DCP has wrapped."""
    error: BaseException = caught.value.failures[0][0]
    assert isinstance(error, (OnecopyError, AssertionError))
    return error
