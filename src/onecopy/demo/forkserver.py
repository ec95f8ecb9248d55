"""The one process from which all workers of all variants are forked."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


@contextmanager
def fork_server(directory: Path) -> Iterator[ForkServerContext]:
    """Run a fork server that has torch and transformers loaded, and end it afterwards.

    It starts at once and loads in the background; the first worker waits for it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "onecopy.demo.preload"])
    _stop()  # one that is already running has other things loaded
    try:
        with _environment(_ENVIRONMENT | {"ONECOPY_DEMO_MODEL": str(directory)}):
            forkserver.ensure_running()
            yield context
    finally:
        _stop()


def _stop() -> None:
    # The module has no public way to end the server before this process ends.
    stop = getattr(getattr(forkserver, "_forkserver", None), "_stop", None)
    if stop is not None:
        stop()


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
