"""How much memory calls of a model take at its bounds, measured in a process of its own.

Run by the benchmark as ``python -m benchmarks.planned_memory MODEL eager|planned``; prints bytes.
"""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from pathlib import Path

import torch

from benchmarks.architectures import ARCHITECTURES
from onecopy import planner

CALLS = 4
FORGET_PEAK = "5"  # to /proc/self/clear_refs: VmHWM begins anew


def main() -> None:
    """Measure, and print what was found."""
    architecture, way = ARCHITECTURES[sys.argv[1]], sys.argv[2]
    torch.set_num_threads(1)
    model = architecture.build().eval()
    with torch.no_grad():
        x = architecture.inputs(*architecture.bounds)
        model(x)
        call = planner.bind_module(model, (x,)) if way == "planned" else model
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text(FORGET_PEAK)
        for _ in range(CALLS):
            call(x)
        sys.stdout.write(f"{_status('VmHWM') - before}\n")


def _status(key: str) -> int:
    found = re.search(rf"{key}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    main()
