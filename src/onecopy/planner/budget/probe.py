"""The process that runs a module under a budget, so that what goes wrong there harms nobody.

It answers one question at a time, as JSON over a socket: the values of the dimensions and a
budget; how much was needed, or that it was not enough. torch's allocator refuses at the budget, so
the kernel never has to end a process for it. Each run has a module of its own, as it was
handed over: state that a run leaves behind is no part of the next.
"""

from __future__ import annotations

import gc
import json
import multiprocessing.spawn
import re
import sys
from collections.abc import Callable, Iterable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from onecopy.errors import BudgetExceeded, OnecopyError
from onecopy.planner.budget.subjects import opened

active = False
"""Whether this process is such a process."""


def main(socket: int) -> None:
    """Answer until the other side has gone."""
    global active
    active = True
    connection = Connection(socket)
    make = _prepared(json.loads(connection.recv_bytes()))
    connection.send_bytes(b"{}")
    while True:
        try:
            question = json.loads(connection.recv_bytes())
        except EOFError:
            return
        connection.send_bytes(json.dumps(_answer(make, **question)).encode())


def _prepared(setup: dict[str, Any]) -> Callable[[], Any]:
    """Return what makes the module anew, with a way to make inputs for it."""
    sys.path[:] = setup["sys_path"]
    if setup["main"]:
        multiprocessing.spawn.prepare(setup["main"])
    import torch

    torch.set_num_threads(setup["threads"])

    def make() -> Any:
        from onecopy.planner.analysis.saving import decoded

        if setup["factory"]:
            module = opened(setup["factory"], weights=True)
            if hasattr(module, "inputs_at"):
                return module
        else:
            # Mapped: the weights' pages are those of the memfd. The file is the caller's own.
            path = f"/proc/self/fd/{setup['module']}"
            module = torch.load(path, mmap=True, weights_only=False)
        return decoded(Path(f"/proc/self/fd/{setup['plan']}").read_bytes(), module)

    return make


def _answer(make: Callable[[], Any], **question: Any) -> dict[str, Any]:
    try:
        return measure(make(), **question)
    except OnecopyError as error:
        return {"refused": str(error)}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}
    finally:
        gc.collect()


def measure(plan: Any, values: dict[str, int], budget: int, processes: int = 1) -> dict[str, Any]:
    """Run a plan's module; return the bytes of its weights, its inputs, and what it allocated.

    `fits` is False when that would have been more than the budget for so many processes, whose
    weights count once; then `allocated` is missing.
    """
    import torch

    from onecopy.planner.running.recording import record

    args, kwargs = plan.inputs_at(**values)
    weights = _nbytes([*plan.module.parameters(), *plan.module.buffers()])
    inputs = _nbytes(torch.utils._pytree.tree_leaves((args, kwargs)))
    facts = {"weights": weights, "inputs": inputs, "fits": False, "why": ""}
    room = (budget - weights) // processes - inputs
    facts["rss_before"] = _rss_anew()
    if room < 0:
        return {**facts, "rss": facts["rss_before"], "why": "weights and inputs are more alone"}
    try:
        with torch.no_grad():
            recording = record(partial(plan.module, *args, **kwargs), limit=room)
    except BudgetExceeded as error:
        return {**facts, "rss": _status("VmHWM"), "why": str(error)}
    return {**facts, "rss": _status("VmHWM"), "allocated": recording.peak, "fits": True}


def _nbytes(leaves: Iterable[Any]) -> int:
    """Return the bytes of the memory of tensors; what several share counts once."""
    import torch

    storages = [leaf.untyped_storage() for leaf in leaves if isinstance(leaf, torch.Tensor)]
    return sum({each.data_ptr(): each.nbytes() for each in storages}.values())


def _rss_anew() -> int:
    """Return the resident bytes, and make the kernel find their peak anew from here."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass  # Then the peak is that of the whole process.
    return _status("VmRSS")


def _status(field: str) -> int:
    match = re.search(rf"^{field}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(match[1]) * 1024 if match else 0
