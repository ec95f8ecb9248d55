"""A planned output becomes an entry of a store where it lies, and another process reads it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import onecopy
from onecopy.demo.check import Check
from onecopy.segments import maps

if TYPE_CHECKING:
    from onecopy.planner import Plan

_READ: Final = """
import hashlib, sys
import onecopy
output = onecopy.connect(sys.argv[1]).load("output").contiguous()
print(tuple(output.shape), hashlib.sha256(output.numpy()).hexdigest())
"""


def output_seen_elsewhere(plan: Plan) -> Check:
    """Run a plan at half its bounds, save the output, and have another process read it."""
    halves = {name: max(1, (dim.upper or 2) // 2) for name, dim in plan.dims.items()}
    args, kwargs = plan.inputs_at(**halves)
    claim = "another process reads the output from a store, into which it was not copied"
    with (
        onecopy.start(f"demo-plan-{os.getpid()}", capacity="1GiB") as store,
        plan.bind(output="bound", store=store) as run,
    ):
        output = run(*args, **kwargs)
        memfd = _memfd_of(output)
        run.save("output", output)
        seen, here = _read(store.name), _description(output)
        loaded = store.load("output")
        copied = _memfd_of(loaded) != memfd
    trouble = "it was copied" if copied else f"it read {seen} instead of {here}"
    return Check(claim, seen == here and not copied, trouble)


def _read(store: str) -> str:
    command = [sys.executable, "-c", _READ, store]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip()


def _description(output: Any) -> str:
    """Return shape and checksum."""
    numbers = output.detach().contiguous().numpy()
    return f"{tuple(output.shape)} {hashlib.sha256(numbers).hexdigest()}"


def _memfd_of(tensor: Any) -> tuple[int, int] | None:
    """Return device and inode of the file whose pages a tensor shows."""
    area = maps.at(tensor.data_ptr())
    return area and (area.dev, area.ino)
