"""What copies from a store to a GPU take, beside heap and pinned memory: the table of docs/gpu.

Run `python -m benchmarks.gpu_copies` where torch sees a CUDA device. It is no question of
`python -m benchmarks`, whose runs are for machines without one.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import onecopy

if TYPE_CHECKING:
    from onecopy.store.client import Store

NBYTES = 1 << 30
READ_ONLY = 8  # cudaHostRegisterReadOnly
REPEATS = 5


def main() -> None:
    """Copy 1 GiB from each kind of memory, and check what arrived."""
    import torch

    if not torch.cuda.is_available():
        sys.exit("torch sees no CUDA device here")
    print(torch.__version__, torch.cuda.get_device_name(0), sys.version.split()[0])
    source = torch.randint(0, 255, (NBYTES,), dtype=torch.uint8)
    report("heap memory", source)
    report("pinned memory of torch", source.pin_memory())
    with onecopy.start("gpu-copies", capacity=2 * NBYTES) as store:
        store.save("x", source)
        for mode in ("private", "readonly"):
            report(f"a {mode} load", store.load("x", mode=mode))
        for mode, flags in (("readonly", READ_ONLY), ("private", 0)):
            registered(store, mode, flags)


def registered(store: Store, mode: Any, flags: int) -> None:
    """Register a load with CUDA, then copy from it."""
    import torch

    loaded = store.load("x", mode=mode)
    runtime = torch.cuda.cudart()
    start = time.perf_counter()
    code = runtime.cudaHostRegister(loaded.data_ptr(), loaded.nbytes, flags)
    print(f"a {mode} load is registered: {1e3 * (time.perf_counter() - start):.0f} ms, {code}")
    report(f"a {mode} load, registered", loaded)
    runtime.cudaHostUnregister(loaded.data_ptr())


def report(name: str, source: Any) -> None:
    """Print the first copy's time, and the least of those after it."""
    import torch

    target = torch.empty_like(source, device="cuda")
    seconds = []
    for _ in range(REPEATS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        target.copy_(source, non_blocking=True)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    assert torch.equal(target[:: NBYTES // 4096].cpu(), source[:: NBYTES // 4096])
    least = min(seconds[1:])
    rate = source.nbytes / least / 1e9
    print(f"{name}: first {1e3 * seconds[0]:.0f} ms, then {1e3 * least:.1f} ms, {rate:.1f} GB/s")


if __name__ == "__main__":
    main()
