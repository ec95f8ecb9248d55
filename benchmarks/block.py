"""What `store.storage()` costs and saves, measured in a process of its own.

Run by the benchmark as ``python -m benchmarks.block BYTES ROUNDS``; prints one JSON object.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import onecopy

WIDTH = 1024
LAYER = (WIDTH * WIDTH + WIDTH) * 4
now = time.perf_counter


def main() -> None:
    """Measure, and print what was found."""
    nbytes, rounds = int(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    with onecopy.start("block", capacity=4 * nbytes + (64 << 20)) as store:
        found = {
            "peak": _peak(store, nbytes),
            "saves": {
                "in storage()": [_save(store, nbytes, store.storage()) for _ in range(rounds)],
                "elsewhere": [
                    _save(store, nbytes, contextlib.nullcontext()) for _ in range(rounds)
                ],
            },
            "operators": _operators(store, rounds),
        }
    sys.stdout.write(json.dumps(found))


def _build(nbytes: int) -> torch.nn.Module:
    return torch.nn.Sequential(
        *(torch.nn.Linear(WIDTH, WIDTH) for _ in range(max(1, nbytes // LAYER)))
    )


def _save(store: onecopy.Store, nbytes: int, block: Any) -> float:
    """Seconds that the save of a new module takes."""
    with block:
        state = _build(nbytes).state_dict()
    begin = now()
    store.save("model", state)
    took = now() - begin
    del state
    gc.collect()
    store.remove("model")
    while store.stats().lingering:
        time.sleep(0.01)
    return took


def _peak(store: onecopy.Store, nbytes: int) -> float:
    """The most memory this process had while it built and saved a module, over the module."""
    store.save("warm up", torch.zeros(10))
    with store.storage():
        torch.nn.Linear(8, 8)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # The peak is now what is here.
    before = _status("VmRSS")
    with store.storage():
        state = _build(nbytes).state_dict()
    store.save("model", state)
    size = sum(tensor.nbytes for tensor in state.values())
    peak: float = (_status("VmHWM") - before) / size
    store.remove("model")
    return peak


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def _operators(store: onecopy.Store, rounds: int) -> dict[str, dict[str, list[float]]]:
    encoder = torch.nn.TransformerEncoderLayer(256, 4, batch_first=True).eval()
    tokens, small = torch.randn(4, 64, 256), torch.randn(64)
    work: dict[str, Callable[[], object]] = {
        "encoder forward": lambda: encoder(tokens),
        "small operator": lambda: small + 1,
    }
    with torch.inference_mode():
        return {title: _inside_and_out(store, act, rounds) for title, act in work.items()}


def _inside_and_out(
    store: onecopy.Store, act: Callable[[], object], rounds: int
) -> dict[str, list[float]]:
    """Seconds of one call, inside a block and outside, in turns."""
    count = max(1, int(0.05 / _time(act, 3)))
    found: dict[str, list[float]] = {"inside": [], "outside": []}
    for _ in range(4 * rounds):
        with store.storage():
            _time(act, 3)
            found["inside"].append(_time(act, count))
        _time(act, 3)
        found["outside"].append(_time(act, count))
    return found


def _time(act: Callable[[], object], count: int) -> float:
    begin = now()
    for _ in range(count):
        act()
    return (now() - begin) / count


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
