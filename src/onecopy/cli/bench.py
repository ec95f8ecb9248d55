"""`bench`: is this machine as fast as it should be? A few seconds, not a comparison of peers."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from onecopy.cli.arguments import Json, OptionalStoreName
from onecopy.cli.output import show_json, show_table, stderr
from onecopy.units import format_size

if TYPE_CHECKING:
    from onecopy.store.client import Store

_SIZES: Final = (1 << 10, 1 << 20, 256 << 20)
Work = Callable[[], Any]


def bench(
    store: OptionalStoreName = None,
    seconds: Annotated[
        float, typer.Option(min=0, help="How long each of 12 measurements may take.")
    ] = 0.2,
    json: Json = False,
) -> None:
    """Measure saves and loads here, beside what memory and the kernel can do at best.

    Without STORE it starts a store of its own, and stops it.
    """
    with closing(_open(store)) as opened, stderr().status("measuring …"):
        results = [_measure(opened, nbytes, seconds) for nbytes in _SIZES]
    if json:
        show_json(results)
        return
    columns = ("size", "save", "memcpy", "load, first byte", "torch.from_file")
    show_table(columns, map(_row, results), numbers=columns[1:])


def _open(name: str | None) -> Store:
    from onecopy.cli.stores import open_store
    from onecopy.store.launch import start

    return open_store(name) if name else start(f"bench-{os.getpid()}", capacity="1GiB")


def _measure(store: Store, nbytes: int, seconds: float) -> dict[str, float]:
    """Return the medians for one size, in seconds."""
    with _works(store, nbytes) as works:
        return {"nbytes": nbytes, **{name: _median(w, seconds) for name, w in works.items()}}


@contextmanager
def _works(store: Store, nbytes: int) -> Iterator[dict[str, Work]]:
    from onecopy.segments import region
    from onecopy.tensors import codec

    codec.find("torch")  # If torch is not there, this says what to install.
    import torch

    name = f"onecopy-bench-{os.getpid()}"
    value, copy = torch.ones(2, nbytes, dtype=torch.uint8)
    fd = region.create(name, nbytes)
    region.write(fd, [bytes(1)])
    path = f"/proc/self/fd/{fd}"
    try:
        yield {
            "save": lambda: store.save(name, value, overwrite=True),
            "memcpy": lambda: copy.copy_(value),
            "load": lambda: store.load(name)[0],
            "from_file": lambda: torch.from_file(path, size=nbytes, dtype=torch.uint8)[0],
        }
    finally:
        os.close(fd)
        if name in store:
            store.remove(name)


def _median(work: Work, seconds: float) -> float:
    """Return the median duration of `work`, done at least three times after a first one."""
    work()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def _row(result: dict[str, float]) -> tuple[str, ...]:
    nbytes, *times = result.values()
    return format_size(nbytes), *(_duration(each) for each in times)


def _duration(seconds: float) -> str:
    return f"{seconds * 1e6:.3g} µs" if seconds < 1e-3 else f"{seconds * 1e3:.3g} ms"
